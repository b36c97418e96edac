"""What an admin says of a move of aliases: why, and of a promotion how; all of it may be left out.

{"how": "canary", "why": "clicks rose"}
"""

from typing import Final, NamedTuple

from features.errors import FieldError
from models.why import parse_why
from server.errors import InvalidError
from server.query import parse_json, parse_object

AT_ONCE: Final = "at_once"
BY_CANARY: Final = "canary"

OF_MOVES = ("why",)
OF_PROMOTIONS = ("how", "why")


class Move(NamedTuple):
    """Whether some shoppers get the model first, and why it is moved, for the history."""

    is_canary: bool = False
    why: str | None = None


def parse_move(body: bytes, known: tuple[str, ...]) -> Move:
    """Return the move in a body of the fields `known`; raise `MalformedError` or `InvalidError`."""
    raw = parse_json(body)
    try:
        fields = parse_object(raw, "", known)
        return Move(_how(fields.get("how", AT_ONCE)) == BY_CANARY, _why(fields.get("why")))
    except FieldError as error:
        raise InvalidError.of(error) from None


def _how(raw: object) -> object:
    if raw not in (AT_ONCE, BY_CANARY):
        raise FieldError("how", f"expected {AT_ONCE} or {BY_CANARY}, got {raw!r:.40}")
    return raw


def _why(raw: object) -> str | None:
    return None if raw is None else parse_why(raw, "why")
