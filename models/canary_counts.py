"""What a canary and its control did, counted by each worker in a file that others read.

run/canary/KEY/PID-….bin  one for each worker that served this step: float64 sums
  control, canary: 64 clusters of shoppers x (requests, errors, fallbacks, …)
  shadow:          sums over requests that both models ranked

All cells are sums, so several workers add up exactly. What a worker counted stays when it ends,
until another step begins.
"""

import mmap
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from models.canary import Canary

CONTROL, CANARY = range(2)
CLUSTERS: Final = 64
"""Of shoppers, by the last bits of their hash; which arm they are in is decided by the first."""

REQUESTS, ERRORS, FALLBACKS, EMPTY, RANKED, SECONDS, CLICKS = range(7)
_FIELDS: Final = 8

SHADOW_REQUESTS, SHADOW_FAILED, SHADOW_EMPTY, OVERLAP, OVERLAP_SQUARES = range(5)
SLOWER_S, SLOWER_SQUARES, CONTROL_S, CANARY_S = range(5, 9)
CONTROL_SCORES, CONTROL_SCORE_SQUARES, CONTROL_ITEMS = range(9, 12)
CANARY_SCORES, CANARY_SCORE_SQUARES, CANARY_ITEMS = range(12, 15)
_SHADOW: Final = 2 * CLUSTERS * _FIELDS
_CELLS: Final = _SHADOW + 16
_SIZE: Final = _CELLS * 8

Cells = npt.NDArray[np.float64]


class CanaryCounts:
    """The sums of one step over all workers."""

    def __init__(self, cells: Cells) -> None:
        """Show `cells` float64[_CELLS]."""
        self._arms = cells[:_SHADOW].reshape(2, CLUSTERS, _FIELDS)
        self._shadow = cells[_SHADOW:].tolist()

    def of(self, arm: int, field: int) -> Cells:
        """Return a field of an arm by cluster, float64[CLUSTERS]."""
        clusters: Cells = self._arms[arm, :, field]
        return clusters

    def total(self, arm: int, field: int) -> float:
        """Return a field of an arm."""
        return float(self.of(arm, field).sum())

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


class CanaryCounter:
    """Where this worker counts; each cell is written by one thread."""

    def __init__(self, home: Path, canary: Canary) -> None:
        """Begin at zero, and remove what was counted of other steps.

        Where the disk refuses, `is_shared` is False and nobody hears of what is counted: no data.
        """
        self._map = mmap.mmap(-1, _SIZE)
        self.is_shared = False
        folder = _folder(home)
        with suppress(OSError):
            (folder / canary.key).mkdir(parents=True, exist_ok=True)
            _remove_others(folder, canary.key)
            self._share(folder / canary.key)
        self._cells = memoryview(self._map).cast("d")

    def add(self, arm: int, shopper: int, field: int, value: float = 1.0) -> None:
        """Add to a field of the cluster that the shopper of this hash is in."""
        self._cells[(arm * CLUSTERS + shopper % CLUSTERS) * _FIELDS + field] += value

    def add_shadow(self, field: int, value: float) -> None:
        """Add to a sum over what both models ranked."""
        self._cells[_SHADOW + field] += value

    def _share(self, folder: Path) -> None:
        descriptor, name = tempfile.mkstemp(".bin", f"{os.getpid()}-", folder)
        try:
            os.write(descriptor, bytes(_SIZE))  # no hole: a full disk must not kill us later
            shared = mmap.mmap(descriptor, _SIZE)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self._map = shared
        self.is_shared = True


def read_counts(home: Path, canary: Canary) -> CanaryCounts:
    """Return what all workers of `home` counted of a step."""
    cells = np.zeros(_CELLS)
    for path in (_folder(home) / canary.key).glob("*.bin"):
        with suppress(OSError):
            content = path.read_bytes()
            if len(content) == _SIZE:
                cells += np.frombuffer(content)
    return CanaryCounts(cells)


def _folder(home: Path) -> Path:
    return home / "run" / "canary"


def _remove_others(folder: Path, key: str) -> None:
    for path in folder.iterdir():
        if path.is_dir() and path.name != key:
            shutil.rmtree(path, ignore_errors=True)
