"""What was judged of lists, as the page shows it: everybody's figures, and segments that are worse.

The file is read as it is, not by `monitoring.performance.judged`: that loads polars.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.ui.findings import read_findings

PERFORMANCE_FINDINGS = Path("performance") / "findings.json"
"""Below CUVEE_HOME."""

MOST_FIGURES = 100
MOST_SCORES = 20
MOST_NOTES = 10
LONGEST_WORD = 200
_WORSE = "worse"


def performance_part(path: Path) -> dict[str, Any] | None:
    """Return the verdicts, what is worse first, and what else was said; None where there are none.

    Raises as `read_findings`, and `KeyError`, `TypeError` or `AttributeError` for another file.
    """
    told = read_findings(path)
    if told is None:
        return None
    figures = [_figure(each) for each in told["metrics"] if _is_shown(each)]
    figures.sort(key=lambda each: not each["state"].startswith(_WORSE))
    return {
        "at_ms": told["at_ms"],
        "version": _word(told["version"]),
        "baseline": _word(told["baseline"]),
        "figures": figures[:MOST_FIGURES],
        "left_out": len(told["metrics"]) - len(figures[:MOST_FIGURES]),
        "scores": [_score(each) for each in told["scores"][:MOST_SCORES]],
        "notes": [_word(each) for each in told["notes"][:MOST_NOTES]],
    }


def _is_shown(verdict: Mapping[str, Any]) -> bool:
    return verdict.get("segment") is None or verdict["state"] == _WORSE


def _figure(verdict: Mapping[str, Any]) -> dict[str, Any]:
    before, change = verdict["baseline"] or {}, verdict["change"] or {}
    return {
        "name": _word(" ".join(filter(None, (verdict["metric"], verdict.get("segment"))))),
        "value": _number(verdict.get("value")),
        "low": _number(verdict.get("low")),
        "high": _number(verdict.get("high")),
        "before": _number(before.get("value")),
        "change": _number(change.get("value")),
        "state": _word(" ".join(filter(None, (verdict["state"], verdict["severity"])))),
        "lists": _number(verdict.get("lists", 0)),
        "least_lists": _number(verdict["least_lists"]),
        "days": _number(verdict["days"]),
        "end_ms": _number(verdict["end_ms"]),
    }


def _score(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _number(told[name]) for name in ("from", "to", "items", "predicted", "clicks")}


def _number(told: object) -> float | None:
    if told is not None and not isinstance(told, int | float):
        raise TypeError(f"expected a number, got {told!r:.80}")
    return told


def _word(told: object) -> str:
    return str(told)[:LONGEST_WORD]
