"""Why an alias is moved, in the words of whoever moves it: one line, for the history."""

from features.errors import FieldError

MAX_WHY = 400


def parse_why(raw: object, field: str) -> str:
    """Return `raw` if it is one line of 1 to `MAX_WHY` characters; raise `FieldError`."""
    if not isinstance(raw, str) or not 0 < len(raw) <= MAX_WHY or min(raw) < " ":
        expected = f"expected one line of 1 to {MAX_WHY} characters"
        raise FieldError(field, f"{expected}, got {raw!r:.40}")
    return raw


def one_line(why: str) -> str:
    """Return `why` as `parse_why` takes it: in one line, its end cut off where it is too long."""
    line = "".join(max(each, " ") for each in why)
    return line if len(line) <= MAX_WHY else f"{line[: MAX_WHY - 1]}…"
