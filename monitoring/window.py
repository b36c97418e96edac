"""The cells of one worker's last minute: a ring of one-second slots, in a file others can read.

    header | alert totals by kind | recent alerts | 64 slots x (counters + 256 latency bins)

Every cell is an unsigned 64-bit integer. The worker that owns the file holds a lock on it for
as long as it lives, whatever kills it; a file without its lock belongs to nobody and is removed.
"""

import fcntl
import math
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.uint64]

SLOTS: Final = 64
BINS: Final = 256
LOWEST_S: Final = 1e-4
HIGHEST_S: Final = 60.0
BINS_PER_E: Final = (BINS - 1) / math.log(HIGHEST_S / LOWEST_S)
"""Bins per factor e of latency; one bin is 5.4 % wide, so its middle is within 2.7 %."""

# A slot has no count of requests: it is the sum of its bins.
STAMP, LATENCY_NS, CACHE_HITS, FALLBACKS, ERRORS, SLOW, MODEL, SEGMENT, GLOBAL = range(9)
SLOT_HEAD: Final = 12
SLOT_CELLS: Final = SLOT_HEAD + BINS

# Header: what this file is, how many recent alerts were ever written.
MAGIC_CELL, RECENT_CURSOR = range(2)
_LAYOUT_VERSION = 2
MAGIC: Final = 0xC0_0EE << 32 | _LAYOUT_VERSION
ALERT_KINDS: Final = 2
ALERTS_START: Final = 8
TOTAL, FIRST_MS, LAST_MS = range(3)
ALERT_CELLS: Final = 4

RECENT: Final = 32
RECENT_START: Final = ALERTS_START + ALERT_KINDS * ALERT_CELLS
RECENT_CELLS: Final = 3

SLOTS_START: Final = RECENT_START + RECENT * RECENT_CELLS
CELLS: Final = SLOTS_START + SLOTS * SLOT_CELLS
SIZE_BYTES: Final = CELLS * 8


class WindowFile:
    """The cells of this worker; in `directory` where others find them, or in memory alone.

    `shared` is False when no directory was given or it could not be written (a full disk must
    not keep a worker from serving): then only this worker sees its own window.
    """

    def __init__(self, directory: Path | None) -> None:
        """Create `directory/<pid>.bin` and lock it."""
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._map = mmap.mmap(-1, SIZE_BYTES)
        if directory is not None:
            self._share(directory)
        self.cells = memoryview(self._map).cast("Q")
        self.cells[MAGIC_CELL] = MAGIC

    @property
    def shared(self) -> bool:
        """Whether other workers can see these cells."""
        return self._path is not None

    def _share(self, directory: Path) -> None:
        path = directory / f"{os.getpid()}.bin"
        draft = path.with_suffix(".new")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Locked before it has its name, or another worker could take it for a dead one's.
            # Written, not sized: a hole in a full file system would kill the process later.
            draft.write_bytes(bytes(SIZE_BYTES))
            self._descriptor = os.open(draft, os.O_RDWR)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shared = mmap.mmap(self._descriptor, SIZE_BYTES)
            draft.replace(path)
        except OSError:
            self._close_descriptor()
            return
        self._map.close()
        self._map = shared
        self._path = path

    def array(self) -> Cells:
        """Return a copy of the cells."""
        return np.frombuffer(bytes(self.cells), dtype=np.uint64)

    def close(self) -> None:
        """Release the cells and remove the file."""
        self.cells.release()
        self._map.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        self._close_descriptor()

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_windows(directory: Path) -> Iterator[Cells]:
    """Yield the cells of every live worker in `directory`; remove the files of dead ones."""
    for path in sorted(directory.glob("*.bin")):
        cells = _read(path)
        if cells is not None:
            yield cells


def _read(path: Path) -> Cells | None:
    try:
        with path.open("rb") as file:
            if _unlocked(file.fileno()):
                path.unlink(missing_ok=True)
                return None
            cells = np.frombuffer(file.read(), dtype=np.uint64)
    except (OSError, ValueError):
        return None
    return cells if len(cells) == CELLS and cells[MAGIC_CELL] == MAGIC else None


def _unlocked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
