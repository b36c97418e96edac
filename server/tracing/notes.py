"""When each stage of a request began and ended, kept until it is answered.

Who waits is called back, not woken, and shares runs with others: the notes of the request that is
being answered are in a context variable as long as its own code runs, and set anew when it is
called back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeAlias

from monitoring.labels import Stage


class Note(NamedTuple):
    """A stage, and both ends of it by `time.monotonic`, in seconds."""

    stage: Stage
    begun: float
    ended: float


Notes: TypeAlias = list[Note]

_NOTES: ContextVar[Notes] = ContextVar("notes")


def notes_now() -> Notes:
    """Return the notes of the request that is being answered; nobody's where there is none."""
    return _NOTES.get([])


@contextmanager
def noting(notes: Notes) -> Iterator[None]:
    """Take notes there meanwhile."""
    token = _NOTES.set(notes)
    try:
        yield
    finally:
        _NOTES.reset(token)
