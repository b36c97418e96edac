"""One model's features and scores as they are served, window after window.

    served log ─ lines not read yet ─ counts, added to their windows in Valkey with the position
    ─ windows that have ended ─ judged beside the reference ─ findings.json, metrics, a line each

Killed at any moment it goes on where it was: lines are counted once, and a window that was
judged and not written is judged again, from the same counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from monitoring.drift.columns import Bools
from monitoring.drift.counters import Counters, Window
from monitoring.drift.counts import Counts
from monitoring.drift.detector import SCALES, Finding, Watched, judge
from monitoring.drift.identity import identity_of
from monitoring.drift.journal import Journal
from monitoring.drift.metrics import DriftMetrics
from monitoring.drift.policy import Policy
from monitoring.drift.reference import Reference
from monitoring.drift.report import Report, Told
from monitoring.drift.served_lines import Part, ServedRows, logs, rows_of, unread

HORIZON = max(SCALES)
"""Windows that are looked at together; older ones are of no use."""

GRACE_MS = 60_000
"""How long after its end a window may still get lines."""

_MOST_FORGOTTEN = 10_000


class Monitor:
    """Watches `version`; what it knows is in Valkey and in the home's findings."""

    def __init__(
        self,
        home: Path,
        version: str,
        references: Sequence[Reference],
        policy: Policy,
        counters: Counters,
        metrics: DriftMetrics,
        journal: Journal,
        clock: Callable[[], float],
    ) -> None:
        """Go on after the latest findings of the home, if they are of this model.

        The `references` are those of features, and of scores where the model has one.
        """
        self._home = home
        self._version = version
        self._references = references
        self._policy = policy
        self._counters = counters
        self._metrics = metrics
        self._journal = journal
        self._clock = clock
        self._own = f"{identity_of(home)}/"
        self._before: dict[str, Finding] = {}
        self._closed = self._number(self._now_ms()) - HORIZON - 1
        self._go_on(Report.read(home))

    async def step(self) -> None:
        """Count what was served since, and judge windows that have ended; raise `StoreError`."""
        now_ms = self._now_ms()
        current = self._number(now_ms)
        if self._closed > current:
            await self._turn_back(current)
        if await self._count(current):
            await self._judge(self._number(now_ms - GRACE_MS) - 1)

    def _now_ms(self) -> int:
        return int(self._clock() * 1_000)

    def _number(self, at_ms: int) -> int:
        return at_ms // self._policy.window_ms

    def _go_on(self, report: Report | None) -> None:
        names = [column.name for each in self._references for column in each.columns]
        same = report is not None and (report.version, report.window_ms, list(report.columns)) == (
            self._version,
            self._policy.window_ms,
            names,
        )
        if report is not None and same:
            self._before = report.findings
            self._closed = max(report.window, self._closed)
            self._metrics.show(report)

    async def _turn_back(self, current: int) -> None:
        """Forget windows of a future that a clock told of."""
        self._journal.tell("clock went back", windows=self._closed - current)
        until = min(self._closed + 2, current + _MOST_FORGOTTEN)
        await self._counters.forget([], range(current + 2, until))
        self._closed = current - 2

    async def _count(self, current: int) -> bool:
        """Count all lines there are; tell whether every one was."""
        told = await self._counters.positions()
        own = {name: at for name, at in told.items() if name.startswith(self._own)}
        positions = {name.removeprefix(self._own): at for name, at in own.items()}
        first = current - HORIZON
        for part in unread(self._home, first * self._policy.window_ms, positions):
            if not await self._add(part, first, current + 1):
                return False  # another has read on; look again
        there = {path.name for path in logs(self._home, 0)}
        if gone := positions.keys() - there:
            await self._counters.forget([self._own + name for name in gone], ())
        return True

    async def _add(self, part: Part, first: int, last: int) -> bool:
        told = rows_of(part.lines, self._version)
        numbers = told.at_ms // self._policy.window_ms
        counts = {
            number: self._counted(told, numbers == number)
            for number in np.unique(numbers).tolist()
            if first <= number <= last
        }
        added = await self._counters.add(self._own + part.name, part.start, part.end, counts)
        if added:
            self._tell_lines(told, int((numbers < first).sum()), int((numbers > last).sum()))
        return added

    def _counted(self, told: ServedRows, chosen: Bools) -> Window:
        """Count some of the rows: features where a model used them, scores where they are ours."""
        return tuple(
            Counts.of(reference.columns, told.rows.take(chosen & there))
            for reference, there in zip(
                self._references, (told.with_features, told.scored), strict=False
            )
        )

    def _tell_lines(self, told: ServedRows, late: int, ahead: int) -> None:
        self._metrics.lines("counted", len(told.rows) - late - ahead)
        self._metrics.lines("late", late)
        self._metrics.lines("ahead", ahead)
        self._metrics.lines("strange", told.strange)
        self._metrics.lines("unreadable", told.unreadable)

    async def _judge(self, last: int) -> None:
        """Judge the windows that have ended, up to number `last`."""
        for number in range(max(self._closed + 1, last - HORIZON), last + 1):
            numbers = range(number - HORIZON + 1, number + 1)
            self._conclude(number, [await self._counters.window(each) for each in numbers])

    def _conclude(self, number: int, windows: list[Window]) -> None:
        watched = [
            Watched(reference, group)
            for reference, group in zip(self._references, zip(*windows, strict=True), strict=True)
        ]
        findings = judge(watched, self._policy.limits, self._before)
        report = Report.of(self._version, number, self._policy.window_ms, watched, findings)
        report.write(self._home)
        self._metrics.show(report)
        self._metrics.judged()
        for name, told in report.columns.items():
            self._tell_change(name, told)
        self._before, self._closed = findings, number

    def _tell_change(self, name: str, told: Told) -> None:
        finding, before = told.finding, self._before.get(name)
        if before is not None and before.state is not finding.state:
            self._journal.tell(
                str(finding.state),
                feature=name,
                before=str(before.state),
                q=finding.q,
                effect=round(finding.effect, 4),
                windows=finding.windows,
                moved=[asdict(each) for each in told.moved()],
            )
