"""Where findings come from. None says that nothing is known now: then nothing changes.

drift        what python -m monitoring run found of the model that serves
performance  what its monitor left (`monitoring.finding`)
staleness    the age of the model that serves
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from models.registry import Registry
from monitoring.drift.detector import Finding as DriftFinding
from monitoring.drift.detector import Limits, State
from monitoring.drift.report import Report
from monitoring.finding import Finding, Kind, Severity, left, path_of
from monitoring.performance.watch import AGAIN_S
from monitoring.response.policy import Policy

HIGH_FROM = 4.0
"""Floors from which drift is high: at the usual floor 0.2 standard deviations."""

LONGEST_S = 2 * AGAIN_S
"""So long what performance left holds: whoever leaves it looks again in half of that."""

DAY_S, HOUR_S = 86_400.0, 3_600.0


class Source(Protocol):
    """Finds things of one kind."""

    @property
    def kind(self) -> Kind:
        """Return the kind."""
        ...

    async def findings(self, policy: Policy) -> Sequence[Finding] | None:
        """Return all there are now, None where that cannot be known.

        Raises `FeaturesError` or `OSError` where something is in the way.
        """
        ...


class DriftSource:
    """The latest report on drift."""

    kind = Kind.DRIFT

    def __init__(self, home: Path, limits: Limits, clock: Callable[[], float]) -> None:
        """Read the report of a home that was made with `limits`."""
        self._home = home
        self._registry = Registry(home)
        self._limits = limits
        self._clock = clock

    async def findings(self, policy: Policy) -> Sequence[Finding] | None:  # noqa: ARG002 - a seam
        """Return what has drifted, or may have.

        A report on another model says nothing, nor does one after a window with too few rows.
        """
        return await asyncio.to_thread(self._found)

    def _found(self) -> list[Finding] | None:
        report = Report.read(self._home)
        if report is None or report.version != self._registry.production():
            return None
        if not any(each.windows for each in report.findings.values()):
            return None
        told = (self._finding(report, each) for each in report.findings.values())
        return [each for each in told if each is not None]

    def _finding(self, report: Report, found: DriftFinding) -> Finding | None:
        floor = self._limits.floor_of(found.name)
        severity = _severity_of(found, floor)
        if severity is None:
            return None
        ended_s = report.ended_ms / 1_000
        return Finding(
            kind=Kind.DRIFT,
            subject=found.name,
            severity=severity,
            value=found.effect,
            threshold=floor,
            effect=found.effect,
            start_s=ended_s - report.window_ms / 1_000,
            end_s=ended_s,
            version=report.version,
            at_s=self._clock(),
        )


def _severity_of(found: DriftFinding, floor: float) -> Severity | None:
    if found.state is State.SUSPECT:
        return Severity.LOW
    if found.state is not State.DRIFTED:
        return None
    return Severity.HIGH if found.effect >= HIGH_FROM * floor else Severity.MEDIUM


class PerformanceSource:
    """What the monitor of performance left."""

    kind = Kind.PERFORMANCE

    def __init__(self, home: Path, clock: Callable[[], float]) -> None:
        """Read what was left in a home."""
        self._home = home
        self._registry = Registry(home)
        self._clock = clock

    async def findings(self, policy: Policy) -> Sequence[Finding] | None:  # noqa: ARG002 - a seam
        """Return what is worse of the model that serves.

        What was left long ago says nothing, nor does what is of another model alone.
        """
        return await asyncio.to_thread(self._found)

    def _found(self) -> list[Finding] | None:
        path = path_of(self._home, self.kind)
        try:
            age_s = self._clock() - path.stat().st_mtime
        except FileNotFoundError:
            return None
        told = left(self._home, self.kind)
        if told is None or abs(age_s) > LONGEST_S:  # before 0: by a clock that was ahead
            return None
        version = self._registry.production()
        mine = [each for each in told if each.version == version]
        return mine if mine or not told else None


class StalenessSource:
    """The age of the model that serves, looked at every hour."""

    kind = Kind.STALENESS

    def __init__(self, home: Path, clock: Callable[[], float]) -> None:
        """Look at the registry of a home."""
        self._registry = Registry(home)
        self._clock = clock

    async def findings(self, policy: Policy) -> Sequence[Finding] | None:
        """Return that the model is older than it may be; raise `ModelsError` without one."""
        return await asyncio.to_thread(self._found, policy.stale_s)

    def _found(self, most_s: float) -> list[Finding]:
        now_s = self._clock()
        version = self._registry.resolve("production")
        age_s = now_s - created_s(self._registry, version)
        if age_s <= most_s:
            return []
        hour_s = now_s // HOUR_S * HOUR_S
        return [
            Finding(
                kind=Kind.STALENESS,
                subject="model",
                severity=Severity.HIGH if age_s >= 2 * most_s else Severity.MEDIUM,
                value=age_s / DAY_S,
                threshold=most_s / DAY_S,
                effect=(age_s - most_s) / DAY_S,
                start_s=hour_s - HOUR_S,
                end_s=hour_s,
                version=version,
                at_s=now_s,
            )
        ]


def created_s(registry: Registry, version: str) -> float:
    """Return when a model was made, in seconds since 1970; raise `ModelsError`."""
    return datetime.fromisoformat(registry.manifest(version).created).timestamp()
