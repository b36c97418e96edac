"""What a canary and its control did, counted by each worker in a file that others read.

run/canary/KEY/PID-….bin  one for each worker that served this step: float64 sums
  control, canary: 64 clusters of shoppers x (requests, errors, fallbacks, …)
  shadow:          sums over requests that both models ranked
run/canary/KEY/shoppers   one for all workers: uint8[places], the arm of who was counted there
run/canary/KEY/HOME.home  what another home counted, as it told last (`canary_exchange`)

All cells are sums, so several workers and homes add up exactly. A shopper counts once, whoever
served them: their hash tells their place, and of several with one place the first is counted.
What a worker counted stays when it ends, until another step begins.
"""

import mmap
import os
import shutil
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from features.lock import locked
from models.canary import Canary
from models.directory import replace_file

CONTROL, CANARY = range(2)
CLUSTERS: Final = 64
"""Of shoppers, by the last bits of their hash; which arm they are in is decided by the first."""

PLACES: Final = 1 << 18
"""For shoppers, by the last bits of their hash: so many are told apart, and no more counted."""

REQUESTS, ERRORS, FALLBACKS, EMPTY, RANKED, SECONDS, CLICKS = range(7)
_FIELDS: Final = 8

SHADOW_REQUESTS, SHADOW_FAILED, SHADOW_EMPTY, OVERLAP, OVERLAP_SQUARES = range(5)
SLOWER_S, SLOWER_SQUARES, CONTROL_S, CANARY_S = range(5, 9)
CONTROL_SCORES, CONTROL_SCORE_SQUARES, CONTROL_ITEMS = range(9, 12)
CANARY_SCORES, CANARY_SCORE_SQUARES, CANARY_ITEMS = range(12, 15)
_SHADOW: Final = 2 * CLUSTERS * _FIELDS
_CELLS: Final = _SHADOW + 16
_SIZE: Final = _CELLS * 8
_SHOPPERS: Final = "shoppers"
_OF_ANOTHER: Final = ".home"

Cells = npt.NDArray[np.float64]
Places = npt.NDArray[np.uint8]


class CanaryCounts:
    """The sums of one step over all workers, and its shoppers; of one home or several."""

    def __init__(self, cells: Cells, places: Places, homes: int = 1) -> None:
        """Show `cells` float64[_CELLS] and `places` uint8[PLACES]: 0, or 1 + the arm."""
        self.homes = homes
        self.cells = cells
        self.places = places
        self._arms = cells[:_SHADOW].reshape(2, CLUSTERS, _FIELDS)
        self._shadow = cells[_SHADOW:].tolist()

    def of(self, arm: int, field: int) -> Cells:
        """Return a field of an arm by cluster, float64[CLUSTERS]."""
        clusters: Cells = self._arms[arm, :, field]
        return clusters

    def total(self, arm: int, field: int) -> float:
        """Return a field of an arm."""
        return float(self.of(arm, field).sum())

    def shoppers(self, arm: int) -> int:
        """Return how many shoppers of an arm were counted, each once."""
        return int(np.count_nonzero(self.places == 1 + arm))

    def shadow(self, field: int) -> float:
        """Return a sum over what both models ranked."""
        return float(self._shadow[field])

    def scores(self, arm: int) -> tuple[float, float] | None:
        """Return mean and standard deviation of the scores that an arm gave in the shadow."""
        first = CONTROL_SCORES if arm == CONTROL else CANARY_SCORES
        total, squares, items = (self.shadow(field) for field in range(first, first + 3))
        if not items:
            return None
        mean = total / items
        return mean, max(squares / items - mean**2, 0.0) ** 0.5

    def plus(self, other: "CanaryCounts") -> "CanaryCounts":
        """Return both homes' counts; where both have a shopper at a place, ours is counted."""
        places = np.where(self.places, self.places, other.places)
        return CanaryCounts(self.cells + other.cells, places, self.homes + other.homes)

    def to_bytes(self) -> bytes:
        """Return the counts as `from_bytes` reads them."""
        return zlib.compress(self.cells.tobytes() + self.places.tobytes(), 1)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self | None:
        """Return the counts in `content`, None where it holds none."""
        unpacked = zlib.decompressobj()
        try:
            told = unpacked.decompress(content, _SIZE + PLACES + 1)
        except zlib.error:
            return None
        if len(told) != _SIZE + PLACES or not unpacked.eof:
            return None
        return cls(np.frombuffer(told[:_SIZE]), np.frombuffer(told[_SIZE:], np.uint8))


class CanaryCounter:
    """Where this worker counts; each cell is written by one thread."""

    def __init__(self, home: Path, canary: Canary) -> None:
        """Begin at zero, and remove what was counted of steps that began before.

        Where the disk refuses, `is_shared` is False and nobody hears of what is counted: no data.
        """
        sums, places = mmap.mmap(-1, _SIZE), mmap.mmap(-1, PLACES)
        self.is_shared = False
        folder = counts_folder(home, canary)
        with suppress(OSError, ValueError):  # no room, or a file that is too short
            folder.mkdir(parents=True, exist_ok=True)
            _remove_before(folder)
            places, sums = _shared_places(folder), _shared_sums(folder)
            self.is_shared = True
        self._cells = memoryview(sums).cast("d")
        self._places = memoryview(places)

    def add(self, arm: int, shopper: int, field: int, value: float = 1.0) -> None:
        """Add to a field of the cluster that the shopper of this hash is in."""
        self._cells[(arm * CLUSTERS + shopper % CLUSTERS) * _FIELDS + field] += value

    def add_shopper(self, arm: int, shopper: int) -> None:
        """Count the shopper of this hash, unless somebody was counted at their place."""
        place = shopper % PLACES
        if not self._places[place]:
            self._places[place] = 1 + arm

    def add_shadow(self, field: int, value: float) -> None:
        """Add to a sum over what both models ranked."""
        self._cells[_SHADOW + field] += value


def read_counts(home: Path, canary: Canary) -> CanaryCounts:
    """Return what all workers counted of a step: those of `home`, and of homes that told it."""
    counts = own_counts(home, canary)
    for path in sorted(counts_folder(home, canary).glob(f"*{_OF_ANOTHER}")):
        with suppress(OSError):
            other = CanaryCounts.from_bytes(path.read_bytes())
            counts = counts if other is None else counts.plus(other)
    return counts


def own_counts(home: Path, canary: Canary) -> CanaryCounts:
    """Return what all workers of `home` alone counted of a step."""
    folder = counts_folder(home, canary)
    cells, places = np.zeros(_CELLS), np.zeros(PLACES, np.uint8)
    for path in folder.glob("*.bin"):
        with suppress(OSError):
            content = path.read_bytes()
            if len(content) == _SIZE:
                cells += np.frombuffer(content)
    with suppress(OSError):
        content = (folder / _SHOPPERS).read_bytes()
        if len(content) == PLACES:
            places = np.frombuffer(content, np.uint8)
    return CanaryCounts(cells, places)


def keep_counts(home: Path, canary: Canary, other: str, content: bytes) -> None:
    """Note what another home told of a step; raise `OSError`."""
    replace_file(counts_folder(home, canary) / f"{other}{_OF_ANOTHER}", content)


def counts_folder(home: Path, canary: Canary) -> Path:
    """Return where all that is counted of a step lies."""
    return home / "run" / "canary" / canary.key


def _shared_sums(folder: Path) -> mmap.mmap:
    descriptor, name = tempfile.mkstemp(".bin", f"{os.getpid()}-", folder)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            file.write(bytes(_SIZE))  # no hole: a full disk must not kill us later
            file.flush()
            return mmap.mmap(file.fileno(), _SIZE)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _shared_places(folder: Path) -> mmap.mmap:
    path = folder / _SHOPPERS
    with locked(folder):
        if not path.exists():
            replace_file(path, bytes(PLACES))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), PLACES)


def _remove_before(folder: Path) -> None:
    """Remove steps that began before the one of `folder`: who is late must not remove a later."""
    for path in folder.parent.iterdir():
        if path.is_dir() and _moment(path.name) < _moment(folder.name):
            shutil.rmtree(path, ignore_errors=True)


def _moment(key: str) -> str:
    return key.rpartition(".")[2]
