"""Judging the model that serves from a home's tables: whom beside whom, and what is left of it.

CUVEE_HOME/performance/findings.json    every figure with its interval, for people and the page
CUVEE_HOME/findings/performance.json    what is worse, for whoever acts on it
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from features.offline.store import OfflineStore
from features.offline.translated import collected
from models.directory import replace_file
from models.registry import Registry
from monitoring.finding import Estimate, Finding, Kind, leave
from monitoring.outcomes.policy import Policy as OutcomePolicy
from monitoring.performance.moments import Figure
from monitoring.performance.policy import Policy
from monitoring.performance.sums import DAY_MS, Summing, Sums, Versions
from monitoring.performance.verdict import Bench, Verdict

FILE = Path("performance") / "findings.json"
"""Below CUVEE_HOME."""

_EARNING = ("conversion", "revenue")
"""Metrics that are money, or lead to it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """All that is said of a version at a moment; `base` is that before, None for its own past."""

    version: str
    base: str | None
    at_ms: int
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    scores: tuple[dict[str, float], ...] = ()
    """By score: `from`, `to`, items, clicks that were predicted and that came."""

    def figures(self) -> dict[str, Any]:
        """Return it, JSON-able."""
        return {
            "version": self.version,
            "baseline": self.base or f"{self.version}, earlier",
            "at_ms": self.at_ms,
            "metrics": [_told(each) for each in self.verdicts],
            "scores": self.scores,
            "notes": self.notes,
        }

    def findings(self) -> Iterator[Finding]:
        """Yield what is worse."""
        for each in self.verdicts:
            live = each.live
            if each.severity is None or each.threshold is None or live is None:
                continue
            earns = each.metric in _EARNING
            yield Finding(
                kind=Kind.PERFORMANCE,
                subject=each.metric,
                severity=each.severity,
                value=live.value,
                threshold=each.threshold,
                effect=abs(live.value / each.threshold - 1) if each.threshold else 0.0,
                start_s=each.span.start_ms / 1_000,
                end_s=each.span.end_ms / 1_000,
                version=self.version,
                at_s=self.at_ms / 1_000,
                segment=each.segment,
                live=_estimate(live) if earns else None,
                incumbent=_estimate(each.base) if earns and each.base else None,
                lists_per_day=live.lists / each.served_days if earns and each.served_days else None,
            )

    def write(self, home: Path) -> None:
        """Leave it in a home, each file whole or not at all; raise `OSError`."""
        path = home / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, orjson.dumps(self.figures(), option=orjson.OPT_INDENT_2))
        leave(home, Kind.PERFORMANCE, list(self.findings()))


def occasion(home: Path, outcomes: OutcomePolicy, now_ms: int) -> tuple[object, ...]:
    """Return what changes when there is something else to judge: a model, or a day that is mature.

    Raises `ModelsError`.
    """
    registry = Registry(home)
    settled = now_ms - outcomes.settle_ms
    days = [(settled - waits) // DAY_MS for waits in (0, *outcomes.windows_ms.values())]
    return registry.resolve("production"), registry.previous(), *days


def judged(store: OfflineStore, policy: Policy, outcomes: OutcomePolicy, now_ms: int) -> Judged:
    """Return what is said of the model that serves; raise `ModelsError`, `StoreError`."""
    registry = Registry(store.home)
    live = registry.resolve("production")
    base = _base(store, registry.previous(), live)
    summing = Summing(store, policy, outcomes, Versions(live, base), now_ms)
    sums = summing.sums()
    verdicts = Bench(summing, policy).verdicts(sums)
    notes = tuple(_notes(policy, outcomes, sums))
    return Judged(live, base, now_ms, tuple(verdicts), notes, tuple(sums.calibration.told()))


def _base(store: OfflineStore, previous: str | None, live: str) -> str | None:
    """Return the version before, if it was served to anybody, as far as the table knows."""
    if previous is None or previous == live:
        return None
    rows = store.served().filter(model_version=previous).head(1).select("model_version")
    return previous if len(collected(rows)) else None


def _notes(policy: Policy, outcomes: OutcomePolicy, sums: Sums) -> Iterator[str]:
    if not policy.scores_are_probabilities:
        yield "calibration is not judged: scores are not said to be probabilities"
    elif (found := sums.calibration).lowest < 0 or found.highest > 1:
        yield f"scores from {found.lowest:.3g} to {found.highest:.3g} are no probabilities"
    for kind in ("click", "purchase"):
        if kind not in outcomes.windows_ms:
            yield f"{kind}: counts for no list, see CUVEE_OUTCOMES"


def _told(each: Verdict) -> dict[str, Any]:
    live, told = each.live, dict[str, Any]()
    if live is not None:
        told = _bounded(live)
    change = each.change
    return {
        "metric": each.metric,
        **({} if each.segment is None else {"segment": each.segment}),
        **told,
        "state": each.state,
        "severity": each.severity,
        "q": each.q,
        "days": each.days,
        "start_ms": each.span.start_ms,
        "end_ms": each.span.end_ms,
        "least_lists": _finite(each.least_lists),
        "least_effect": _finite(each.least_effect),
        "baseline": None if each.base is None else _bounded(each.base),
        "change": None
        if change is None
        else dict(zip(("value", "low", "high"), change, strict=True)),
    }


def _bounded(figure: Figure) -> dict[str, float]:
    low, high = figure.interval()
    told = {"value": figure.value, "low": low, "high": high}
    return {**told, "lists": figure.lists, "shoppers": figure.shoppers}


def _estimate(figure: Figure) -> Estimate:
    return Estimate(figure.value, *figure.interval())


def _finite(number: float | None) -> float | None:
    return None if number is None or math.isinf(number) else number
