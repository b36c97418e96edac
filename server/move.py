"""What an admin says of a move of aliases; all of it may be left out.

{"how": "canary", "why": "clicks rose"}
{"serves": "VERSION", "why": "clicks fell"}  or "step": what it is meant for, and for nothing later
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from features.errors import FieldError
from models.manifest import parse_version
from models.why import parse_why
from server.errors import InvalidError
from server.query import parse_json, parse_object

AT_ONCE: Final = "at_once"
BY_CANARY: Final = "canary"

OF_ROLLBACKS = ("serves", "why")
OF_STEPS = ("step", "why")
OF_PROMOTIONS = ("how", "why")


class Move(NamedTuple):
    """Whether some shoppers get the model first, and why it is moved, for the history.

    It is meant for where `serves` is the version that does, or `step` the one that is on, by its
    key; None is any.
    """

    is_canary: bool = False
    why: str | None = None
    serves: str | None = None
    step: str | None = None


def parse_move(body: bytes, known: tuple[str, ...]) -> Move:
    """Return the move in a body of the fields `known`; raise `MalformedError` or `InvalidError`."""
    raw = parse_json(body)
    try:
        fields = parse_object(raw, "", known)
        return Move(
            _how(fields.get("how", AT_ONCE)) == BY_CANARY,
            _why(fields.get("why")),
            _serves(fields.get("serves")),
            _name(fields, "step"),
        )
    except FieldError as error:
        raise InvalidError.of(error) from None


def _how(raw: object) -> object:
    if raw not in (AT_ONCE, BY_CANARY):
        raise FieldError("how", f"expected {AT_ONCE} or {BY_CANARY}, got {raw!r:.40}")
    return raw


def _why(raw: object) -> str | None:
    return None if raw is None else parse_why(raw, "why")


def _serves(raw: object) -> str | None:
    return None if raw is None else parse_version(raw, "serves")


def _name(fields: Mapping[str, object], field: str) -> str | None:
    raw = fields.get(field)
    if raw is not None and not (isinstance(raw, str) and raw):
        raise FieldError(field, f"expected a name, got {raw!r:.40}")
    return raw
