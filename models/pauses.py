"""Pauses in long work beside answers: whoever answers has the lock and the core in between.

The interpreter lets a thread keep its lock for 5 ms where another one asks for it, and the system a
core for about as long. A request asks several times, so that work in a thread delays it by far more
than its share; work that stops by itself after each short step delays it by a step.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import sleep

PAUSE_S = 0.003

_pauses: ContextVar[bool] = ContextVar("pauses", default=False)


@contextmanager
def pausing() -> Iterator[None]:
    """Let each `pause` meanwhile, in this thread, be one."""
    token = _pauses.set(True)
    try:
        yield
    finally:
        _pauses.reset(token)


def pause() -> None:
    """Sleep for a moment where this thread is to pause, after a step of about a millisecond."""
    if _pauses.get():
        sleep(PAUSE_S)
