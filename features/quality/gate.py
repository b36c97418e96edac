"""The gate: rows are judged by the rules and the baseline, and only good ones move it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from features.progress import progress
from features.quality.baselines import Baselines
from features.quality.checks import Checked, check
from features.quality.report import Report, as_html
from features.quality.rules import Gate, Rules
from features.quality.steps import FEWEST


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of some data, by rows that were looked at together."""

    report: Report
    checked: tuple[Checked, ...]

    def html(self) -> str:
        """Return the page that shows it."""
        return as_html(self.report, (each.html() for each in self.checked))


class QualityGate:
    """The rules in force for the data of one home, and what good data were like before."""

    def __init__(self, home: Path, rules: Rules) -> None:
        """Judge by `rules`."""
        self._rules = rules
        self._baselines = Baselines(home)

    def judge(self, gate: Gate, source: str, tables: Mapping[str, pl.LazyFrame]) -> Judgement:
        """Return what the rules say of `tables`; `source` names where these are from."""
        baselines = self._baselines.of(gate)
        checked: list[Checked] = []
        with progress("checking", len(tables)) as bar:
            for table, rows in tables.items():
                checked += check(table, rows, self._rules.of(table, gate), baselines)
                bar.advance()
        findings = tuple(finding for each in checked for finding in each.findings)
        report = Report(gate, source, datetime.now(UTC).isoformat(timespec="seconds"), findings)
        return Judgement(report, tuple(checked))

    @property
    def vouched(self) -> str:
        """What somebody vouched for last, whatever the rules say of it."""
        return self._baselines.vouched()

    def accept(self, judgement: Judgement, *, vouched: bool = False) -> None:
        """Take these data for good: later ones are compared with them.

        Rows that are too few to say much replace no baseline that is there.
        """
        gate = judgement.report.gate
        known = self._baselines.of(gate)
        profiles = {
            each.name: each.profile
            for each in judgement.checked
            if each.profile.rows >= FEWEST or (each.profile.rows and each.name not in known)
        }
        self._baselines.move(gate, profiles)
        if vouched:
            self._baselines.vouch(judgement.report.source)
