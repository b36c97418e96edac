"""What the drift monitor found, as the page shows it: what moved most first, and bounded.

The file is read as it is, not by `monitoring.drift.report`: that loads scipy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.ui.findings import read_findings

DRIFT_FINDINGS = Path("drift") / "findings.json"
"""Below CUVEE_HOME."""

MOST_FEATURES = 64
MOST_BINS = 24
LONGEST_LABEL = 80
_ORDER = ("drifted", "suspect", "quiet", "insufficient")


def drift_part(path: Path) -> dict[str, Any] | None:
    """Return what was found after the latest window, None where nothing was.

    Raises as `read_findings`, and `KeyError`, `TypeError` or `AttributeError` for another file.
    """
    told = read_findings(path)
    if told is None:
        return None
    columns = sorted(told["columns"].items(), key=lambda each: _rank(*each))
    return {
        "version": str(told["version"]),
        "ended_ms": (told["window"] + 1) * told["window_ms"],
        "window_ms": told["window_ms"],
        "rows": told["rows"],
        "scores": bool(told.get("scores")),
        "features": [_feature(*each) for each in columns[:MOST_FEATURES]],
        "left_out": max(len(columns) - MOST_FEATURES, 0),
    }


def _rank(name: str, told: Mapping[str, Any]) -> tuple[int, float, float, str]:
    finding = told["finding"]
    return _ORDER.index(finding["state"]), finding["q"], -finding["effect"], name


def _feature(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    finding = told["finding"]
    bins = [
        (str(each["label"])[:LONGEST_LABEL], each["reference"], each["now"])
        for each in told["bins"]
    ]
    return {
        "name": name[:LONGEST_LABEL],
        **{field: finding[field] for field in ("state", "q", "effect", "windows")},
        "bins": _bounded(bins),
    }


Bin = tuple[str, float, float]


def _bounded(bins: list[Bin]) -> list[Bin]:
    """Return at most so many bins, in their order: the largest, and the others as one."""
    if len(bins) <= MOST_BINS:
        return bins
    largest = sorted(range(len(bins)), key=lambda at: -max(bins[at][1:]))[: MOST_BINS - 1]
    shown = [bins[at] for at in sorted(largest)]
    rest = [bins[at] for at in sorted(set(range(len(bins))) - set(largest))]
    others = f"{len(rest)} others"
    return [*shown, (others, sum(each[1] for each in rest), sum(each[2] for each in rest))]
