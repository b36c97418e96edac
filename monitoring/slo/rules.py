"""Recording rules and burn-rate alerts of objectives, for Prometheus.

Both windows of an alert must burn (Site Reliability Workbook, chapter 5: "multiwindow,
multi-burn-rate alerts"): the long one says that it matters, the short one that it goes on.

    counters ─ increase over 5 m, each 5 m ─ slo_…:step ─ summed up ─ windows longer than an hour
             └ increase ──────────────────────────────────────────── the others
    all windows ─ slo_bad:increaseW / slo_events:increaseW = slo_bad:ratioW ─ alerts, budget left

To ask the counters themselves for a month would read half a million samples a series each time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from monitoring.slo.durations import Window, duration
from monitoring.slo.objectives import Burn, Level, Objective, Ratio, Slo

STEP: Final = Window("5m", 300)
DIRECT_S: Final = 3_600
"""Windows up to here are asked of the counters themselves."""

RECORD_EVERY_S: Final = 30
RUNBOOK: Final = "runbook.md"
SEVERITY_OF_PAGES: Final = "critical"
SEVERITY_OF_TICKETS: Final = "warning"

_HEAD = """\
# Made by `python -m monitoring rules` of {source}: change that, and run it again.
# docs/slo.md explains the series, docs/runbook.md the alerts.
"""

Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of `slo`; `docs` is where runbook.md lies.

    All windows are `faster` times as short, and keep their names: what takes a month takes
    minutes, for trying alerts out.
    """

    slo: Slo
    docs: str = "docs"
    faster: float = 1.0

    def text(self, source: str) -> str:
        """Return the rule file; `source` names what it was made of."""
        body = yaml.safe_dump(
            {"groups": self.groups()}, sort_keys=False, width=1_000, allow_unicode=True
        )
        return _HEAD.format(source=source) + body

    def groups(self) -> list[dict[str, Any]]:
        """Return the groups, in the order in which they need one another."""
        each = self.slo.objectives
        steps = [rule for objective in each for rule in self._steps(objective)]
        return [
            self._group("cuvee-slo-steps", STEP.seconds, steps),
            self._group("cuvee-slo", RECORD_EVERY_S, list(self._recorded())),
            self._group(
                "cuvee-slo-alerts",
                RECORD_EVERY_S,
                [self._alert(objective, burn) for objective in each for burn in self.slo.burns],
            ),
        ]

    def _group(self, name: str, every_s: float, rules: list[Rule]) -> dict[str, Any]:
        return {"name": name, "interval": duration(every_s / self.faster), "rules": rules}

    def _steps(self, objective: Objective) -> Iterator[Rule]:
        bad, events = self._counted(objective, STEP)
        yield _record("cuvee:slo_bad:step", bad, objective)
        yield _record("cuvee:slo_events:step", events, objective)

    def _recorded(self) -> Iterator[Rule]:
        for objective in self.slo.objectives:
            yield _record(
                "cuvee:slo_target:ratio", f"vector({_digits(objective.target)})", objective
            )
            if isinstance(objective.measure, Level):
                measure = objective.measure
                over = f"max by (job) ({measure.gauge}) > bool {_digits(measure.at_most)}"
                yield _record("cuvee:slo_over:bool", over, objective)
        for window in self._windows():
            yield from self._increases(window)
            yield {
                "record": f"cuvee:slo_bad:ratio{window.name}",
                "expr": f"cuvee:slo_bad:increase{window.name}"
                f" / (cuvee:slo_events:increase{window.name} > 0)",
            }
        yield {
            "record": "cuvee:slo_budget_left:ratio",
            "expr": f"1 - cuvee:slo_bad:ratio{self.slo.window.name}"
            " / on (slo) group_left () (1 - cuvee:slo_target:ratio)",
        }

    def _windows(self) -> list[Window]:
        """Return every window that is asked for, the shortest first."""
        alerts = (window for burn in self.slo.burns for window in (burn.long, burn.short))
        by_length = {window.seconds: window for window in (*alerts, self.slo.window)}
        return [by_length[seconds] for seconds in sorted(by_length)]

    def _increases(self, window: Window) -> Iterator[Rule]:
        """Yield how much was bad and how much there was over a window, for all objectives."""
        names = [f"cuvee:slo_{what}:increase{window.name}" for what in ("bad", "events")]
        if window.seconds > DIRECT_S:
            for what, name in zip(("bad", "events"), names, strict=True):
                summed = f"sum_over_time(cuvee:slo_{what}:step[{self._range(window)}])"
                yield {"record": name, "expr": summed}
            return
        for objective in self.slo.objectives:
            for name, counted in zip(names, self._counted(objective, window), strict=True):
                yield _record(name, counted, objective)

    def _counted(self, objective: Objective, window: Window) -> tuple[str, str]:
        """Return how much of `window` was bad, and how much there was, as expressions."""
        over, measure = self._range(window), objective.measure
        if isinstance(measure, Level):
            series = f'cuvee:slo_over:bool{{slo="{objective.name}"}}[{over}]'
            return f"sum_over_time({series})", f"count_over_time({series})"
        total = _increase(measure.total, over)
        return _bad(measure, total, over), total

    def _range(self, window: Window) -> str:
        return duration(window.seconds / self.faster)

    def _alert(self, objective: Objective, burn: Burn) -> Rule:
        slo, long, short = f'{{slo="{objective.name}"}}', burn.long.name, burn.short.name
        limit = f"{_digits(burn.factor)} * {_digits(objective.budget)}"
        burns = [
            f"cuvee:slo_bad:ratio{long}{slo} > {limit}",
            f"cuvee:slo_bad:ratio{short}{slo} > {limit}",
        ]
        if isinstance(objective.measure, Ratio):
            burns.append(f"cuvee:slo_events:increase{long}{slo} >= {self.slo.min_events}")
        pages = burn.pages and objective.pages
        lasts = f"{self.slo.window_days / burn.factor:.2g}"
        return {
            "alert": objective.alert,
            "expr": " and on (job) ".join(burns),
            "labels": {
                "severity": SEVERITY_OF_PAGES if pages else SEVERITY_OF_TICKETS,
                "window": long,
            },
            "annotations": {
                "summary": "{{ $value | humanizePercentage }} of "
                f"{objective.bad_is}, over {long}; at this rate the budget of "
                f"{self.slo.window_days} days is gone in {lasts} days or less",
                "runbook_url": f"{self.docs}/{RUNBOOK}#{objective.alert.lower()}",
            },
        }


def _record(name: str, expression: str, objective: Objective) -> Rule:
    return {"record": name, "expr": expression, "labels": {"slo": objective.name}}


def _digits(number: float) -> str:
    return f"{number:.12g}"


def _increase(selector: str, over: str) -> str:
    return f"sum by (job) (increase({selector}[{over}]))"


def _bad(measure: Ratio, total: str, over: str) -> str:
    """Return how much was bad; nothing where a series of what is looked for is not there yet."""
    if measure.bad is not None:
        return f"{_increase(measure.bad, over)} or 0 * {total}"
    good = _increase(measure.good or "", over)
    return f"clamp_min({total} - ({good} or 0 * {total}), 0)"
