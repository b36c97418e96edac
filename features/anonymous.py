"""Visitors who have not said who they are: a session is a shopper of its own, `session:ID`.

Whatever is known of a shopper (rings, cached answers, rows of the tables) is known of a session in
the same way, until it is merged into a shopper, forgotten, or nothing was heard of it for a while.
"""

from features.errors import FieldError
from features.ids import MAX_ID_LENGTH

PREFIX = "session:"
LONGEST = MAX_ID_LENGTH - len(PREFIX)
"""Characters of a session id that may stand for a shopper."""

TTL_S = 30 * 86_400
"""How long a session that does nothing is remembered online."""


def shopper_of(session_id: str) -> str:
    """Return the id of the shopper that a session is; raise `FieldError` where it is too long."""
    if len(session_id) > LONGEST:
        told = f"expected at most {LONGEST} characters without a user_id, got {len(session_id)}"
        raise FieldError("session_id", told)
    return PREFIX + session_id


def session_of(user_id: str) -> str | None:
    """Return the id of the session that a shopper is, None for one who is none."""
    return user_id.removeprefix(PREFIX) if is_session(user_id) else None


def is_session(user_id: str) -> bool:
    """Tell whether a shopper is a session."""
    return user_id.startswith(PREFIX)
