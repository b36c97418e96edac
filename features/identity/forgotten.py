"""Who was forgotten, as hashes of their ids: a list that only grows, below `CUVEE_HOME/forgotten`.

list ─ 24 bytes a forgetting: whose, up to which stamp, and when it was noted

What a home knows of a shopper beside tables and rings was made at some moment: bundles and
datasets keep what the list told last then, and heed what it told since. Files may be older than
any of it: `ingest` heeds the whole list.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from features.errors import StoreError
from features.ids import Hashes, stable_hash, stable_hashes
from features.lock import locked

FOLDER, LIST = "forgotten", "list"
ENTRY = np.dtype([("user", "<u8"), ("until_ms", "<i8"), ("noted_ms", "<i8")])

Entries = npt.NDArray[np.void]

_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


class Forgotten:
    """What a list told at one moment."""

    def __init__(self, entries: Entries) -> None:
        """Index `entries`, as they stand in the list."""
        self._entries = entries[np.lexsort((entries["until_ms"], entries["user"]))]
        self.latest_ms = int(entries["noted_ms"].max(initial=0))
        """When the last entry was noted, 0 where there is none; each is noted later than others."""

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._entries)

    def since(self, noted_ms: int) -> Hashes:
        """Return the hashes of those whose forgetting was noted after `noted_ms`."""
        return np.unique(self._entries["user"][self._entries["noted_ms"] > noted_ms])

    def as_of(self, noted_ms: int) -> "Forgotten":
        """Return what the list told when its last entry was noted at `noted_ms`."""
        return Forgotten(self._entries[self._entries["noted_ms"] <= noted_ms])

    def until(self, user_ids: Collection[str]) -> dict[str, int]:
        """Return, for those of `user_ids` that are listed, the stamp up to which they were."""
        if not len(self):
            return {}
        users, wanted = self._entries["user"], stable_hashes(user_ids)
        places = np.maximum(users.searchsorted(wanted, "right") - 1, 0)
        listed, stamps = users[places] == wanted, self._entries["until_ms"][places]
        told = zip(user_ids, listed.tolist(), stamps.tolist(), strict=True)
        return {user_id: stamp for user_id, is_listed, stamp in told if is_listed}

    def stamps(self, user_ids: Collection[str]) -> dict[str, list[int]]:
        """Return, for those of `user_ids` that are listed, all stamps up to which they were."""
        users, wanted = self._entries["user"], stable_hashes(user_ids)
        bounds = zip(user_ids, *(users.searchsorted(wanted, side) for side in _SIDES), strict=True)
        told = self._entries["until_ms"]
        return {each: told[begin:end].tolist() for each, begin, end in bounds if begin < end}


class ForgottenList:
    """The list of one home. Raises `StoreError` where it cannot be read or written."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.time) -> None:
        """Use what is there; nothing is created before the first entry."""
        self._folder = home / FOLDER
        self._path = self._folder / LIST
        self._clock = clock

    def add(self, until_ms: Mapping[str, int]) -> dict[str, int]:
        """Note, durably, that shoppers were forgotten up to a stamp; return when each was noted.

        What is noted already is not noted again; where something later is, this counts as noted
        with that.
        """
        with _translated(), locked(self._folder):
            known = self._entries()
            noted_ms = max(round(self._clock() * 1_000), int(known["noted_ms"].max(initial=0)) + 1)
            told, new = {}, []
            for user_id, stamp in until_ms.items():
                user = stable_hash(user_id)
                same = known[(known["user"] == user) & (known["until_ms"] >= stamp)]
                told[user_id] = int(same["noted_ms"][0]) if len(same) else noted_ms
                if stamp not in same["until_ms"]:
                    new.append((user, stamp, told[user_id]))
                if not len(same):
                    noted_ms += 1  # whoever reads half of these knows that it is not all
            if new:
                self._append(np.array(new, ENTRY))
            return told

    def read(self) -> Forgotten:
        """Return what the list tells now."""
        with _translated():
            return Forgotten(self._entries())

    def state(self) -> tuple[int, int]:
        """Return what changes whenever the list does."""
        with _translated():
            try:
                told = self._path.stat()
            except FileNotFoundError:
                return 0, 0
            return told.st_size, told.st_mtime_ns

    def _entries(self) -> Entries:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            content = b""
        return np.frombuffer(content, ENTRY, len(content) // ENTRY.itemsize)

    def _append(self, entries: Entries) -> None:
        """Write behind the last whole entry: who was killed may have left a part of one."""
        is_new = not self._path.exists()
        with self._path.open("ab") as file:
            file.truncate(file.tell() // ENTRY.itemsize * ENTRY.itemsize)
            file.write(entries.tobytes())
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync(self._folder)
            _sync(self._folder.parent)


def _sync(folder: Path) -> None:
    """Make sure that what was made in a folder is there after a loss of power."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        told = f"{error.filename or LIST}: {error.strerror}"
        raise StoreError(f"list of the forgotten: {told}") from error
