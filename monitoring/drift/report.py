"""What was found after the latest window, as a file: for people, and to go on from.

CUVEE_HOME/drift/findings.json      replaced in one step; readers see the old or the new
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson

from models.directory import replace_file
from models.reference.scores import SCORES
from monitoring.drift.columns import CategoricalColumn, Column, Floats
from monitoring.drift.detector import Finding, State, Watched, together

FILE = Path("drift") / "findings.json"
"""Below CUVEE_HOME."""

_SHOWN = 10
"""Bins of a number that are told, beside those of what is missing and beyond."""


@dataclass(frozen=True, slots=True)
class Bin:
    """A part of a column's values, in words, with its share in the reference and now."""

    label: str
    reference: float
    now: float


@dataclass(frozen=True, slots=True)
class Told:
    """A finding, and the bins of the windows that say it clearest."""

    finding: Finding
    bins: tuple[Bin, ...]

    def moved(self, most: int = 3) -> list[Bin]:
        """Return the bins that differ most."""
        ordered = sorted(self.bins, key=lambda each: -abs(each.now - each.reference))
        return [each for each in ordered[:most] if each.now != each.reference]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of a model `version` after window number `window`, of `window_ms` each.

    `scores` tells whether its scores are watched as well.
    """

    version: str
    window: int
    window_ms: int
    rows: int
    columns: Mapping[str, Told]
    scores: bool = False

    @classmethod
    def of(
        cls,
        version: str,
        window: int,
        window_ms: int,
        watched: Sequence[Watched],
        findings: Mapping[str, Finding],
    ) -> Self:
        """Return the report on the latest window of what is `watched`."""
        columns = {
            column.name: Told(findings[column.name], _bins(each, column, findings[column.name]))
            for each in watched
            for column in each.reference.columns
        }
        rows = max(each.windows[-1].rows for each in watched)
        return cls(version, window, window_ms, rows, columns, not columns.keys().isdisjoint(SCORES))

    @property
    def findings(self) -> dict[str, Finding]:
        """Return the finding of each column."""
        return {name: each.finding for name, each in self.columns.items()}

    @property
    def ended_ms(self) -> int:
        """Return when its window ended, in milliseconds."""
        return (self.window + 1) * self.window_ms

    def write(self, home: Path) -> None:
        """Write it whole or not at all; raise `OSError`."""
        path = home / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))

    @classmethod
    def read(cls, home: Path) -> Self | None:
        """Return the latest report, None where there is none that can be read."""
        try:
            told: dict[str, Any] = orjson.loads((home / FILE).read_bytes())
            columns = {name: _told(each) for name, each in told.pop("columns").items()}
            return cls(**told, columns=columns)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def _told(raw: dict[str, Any]) -> Told:
    finding = dict(raw["finding"])
    finding["state"] = State(finding["state"])
    return Told(Finding(**finding), tuple(Bin(**each) for each in raw["bins"]))


def _bins(watched: Watched, column: Column, finding: Finding) -> tuple[Bin, ...]:
    reference, window = watched.reference, together(watched.windows, max(finding.windows, 1))
    if not window.rows:
        return ()
    usual = reference.matched(window.slots)[column.name].shares
    now = window.bins[column.name] / window.rows
    if isinstance(column, CategoricalColumn):
        groups = [(at, at + 1) for at in range(column.size)]
    else:
        groups = _groups(reference.bins[column.name][-1] / reference.rows[-1])
    told = [
        Bin(column.label(end - 1), float(usual[start:end].sum()), float(now[start:end].sum()))
        for start, end in groups
    ]
    return tuple(each for each in told if each.reference or each.now)


def _groups(shares: Floats) -> list[tuple[int, int]]:
    """Return bins of a number that belong together: each some tenth of the reference."""
    inner = shares[2:-1]
    parts = np.minimum((np.cumsum(inner) / inner.sum() * _SHOWN - 1e-9).astype(int), _SHOWN - 1)
    ends = [*(np.flatnonzero(np.diff(parts)) + 3).tolist(), len(shares) - 1]
    starts = [2, *ends[:-1]]
    inside = list(zip(starts, ends, strict=True))
    return [(0, 1), (1, 2), *inside, (len(shares) - 1, len(shares))]
