"""A shop that is watched for drift: a bundle with a reference, and logs of served features."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.declared import FEATURE_NAMES, FEATURE_SET
from features.skew.served import FOLDER, Served
from models.bundle import write_bundle
from models.reference.rows import HOUR_MS, SLOTS, Rows
from models.reference.scores import SCORES
from models.registry import Registry
from tests.support.bundles import small_parts

START_MS = 1_759_708_800_000
"""2025-10-06 00:00 UTC, a Monday."""

COUNTRIES = np.array(["FR", "IT", None], object)


class WatchedShop:
    """Draws shoppers whose features are normal, but for what is changed."""

    def __init__(self, home: Path, seed: int = 0) -> None:
        """Use `home`; nothing is written yet."""
        self.home = home
        self._random = np.random.default_rng(seed)
        self.version = ""

    def promote(self, *, with_reference: bool = True, with_scores: bool = True) -> str:
        """Make a bundle that serves, and return its version."""
        reference = self._reference(with_scores) if with_reference else None
        parts = replace(small_parts(), reference=reference)
        version = write_bundle(self.home / "models", parts)
        Registry(self.home).promote(version)
        self.version = version
        return version

    def serve(
        self,
        log: str,
        at_ms: int,
        rows: int = 300,
        shifts: Mapping[str, float | None] | None = None,
        home: str | None = "",
        version: str | None = None,
        scores: tuple[float, float] | None = (1.0, 0.0),
        plain: bool = True,
    ) -> list[bytes]:
        """Write so many rows of an instant to a log; a feature shifted by None is missing.

        `home` is where all shoppers live, "" for the usual places. Lists are scored by `version`,
        else the latest promoted, `scores[0]` times what is normal and `scores[1]` more, or not at
        all; one that is not `plain` used no features.
        """
        told = self._table(rows) | self._scores(rows)
        for name, shift in (shifts or {}).items():
            told[name] = told[name] + (np.nan if shift is None else shift)
        homes = self._homes(rows) if home == "" else np.full(rows, home, object)
        lines = []
        for row in range(rows):
            names = FEATURE_NAMES if plain else ()
            values = [float(np.float32(told[name][row])) for name in names]
            scored = None
            if scores is not None:
                scored = [scores[0] * float(told[name][row]) + scores[1] for name in SCORES]
            served = Served(
                f"shopper {self._random.integers(10**12)}",
                at_ms,
                at_ms,
                None,
                None,
                FEATURE_SET.schema_hash,
                [None if np.isnan(each) else each for each in values],
                homes[row],
                version=self.version if version is None else version,
                scores=scored,
            )
            lines.append(served.line())
        self.append(log, b"".join(lines))
        return lines

    def append(self, log: str, content: bytes) -> None:
        """Add bytes to a log."""
        path = self.home / FOLDER / f"{log}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(content)

    def _reference(self, with_scores: bool = True, rows: int = 8_400) -> Rows:
        slots = np.arange(rows) % SLOTS
        values = {**self._table(rows), "country": self._homes(rows)}
        if with_scores:
            values |= self._scores(rows)
        return Rows(np.arange(rows, dtype=np.uint64), slots, values)

    def _table(self, rows: int) -> dict[str, npt.NDArray[np.float64]]:
        return {
            name: np.full(rows, 1.0) if name == "age" else self._random.normal(size=rows)
            for name in FEATURE_NAMES
        }

    def _scores(self, rows: int) -> dict[str, npt.NDArray[np.float64]]:
        return {name: 3 + self._random.normal(size=rows) for name in SCORES}

    def _homes(self, rows: int) -> npt.NDArray[np.object_]:
        return COUNTRIES[self._random.integers(0, 3, rows)]


def hour(number: int) -> int:
    """Return a moment within an hour since `START_MS`."""
    return START_MS + number * HOUR_MS + 60_000
