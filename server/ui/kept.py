"""What is read of files that others replace: read again once one of them is another."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import time_ns
from typing import NamedTuple

import orjson

from features.errors import FeaturesError

SETTLED_NS = 2_000_000_000
"""What changed later than that before it was read may have changed again in the same tick."""

NOT_OURS = (OSError, FeaturesError, ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What reading a file raises that holds something else than it should."""


class _Stamp(NamedTuple):
    changed_ns: int
    size: int
    inode: int


class Kept:
    """JSON of what `read` returns of some files or directories; one thread asks for it."""

    def __init__(self, paths: Sequence[Path], read: Callable[[], object]) -> None:
        """Read nothing yet."""
        self._paths = paths
        self._read = read
        self._stamps: list[_Stamp | None] | None = None
        self._told = orjson.Fragment(b"null")

    def json(self) -> orjson.Fragment:
        """Return what was read, or `{"unreadable": why}`."""
        stamps = [_stamp(path) for path in self._paths]
        if stamps != self._stamps:
            self._told = orjson.Fragment(orjson.dumps(self._content()))
            self._stamps = stamps if _settled(stamps) else None
        return self._told

    def _content(self) -> object:
        try:
            return self._read()
        except NOT_OURS as error:
            return {"unreadable": f"{type(error).__name__}: {error}"[:200]}


def _stamp(path: Path) -> _Stamp | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return _Stamp(told.st_mtime_ns, told.st_size, told.st_ino)


def _settled(stamps: Sequence[_Stamp | None]) -> bool:
    before = time_ns() - SETTLED_NS
    return all(each is None or each.changed_ns < before for each in stamps)
