"""The gate: rows are judged by the rules and the baseline, and only good ones move it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from features.progress import progress
from features.quality.baselines import Baselines
from features.quality.checks import Checked, check
from features.quality.gates import Gate
from features.quality.profile import TableProfile
from features.quality.refusals import Refusal
from features.quality.report import Finding, Report
from features.quality.rules import Rules
from features.quality.steps import FEWEST


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of some data, by rows that were looked at together."""

    report: Report
    checked: tuple[Checked, ...]


class QualityGate:
    """The rules in force for the data of one home, and what good data were like before."""

    def __init__(self, home: Path, rules: Rules) -> None:
        """Judge by `rules`."""
        self._rules = rules
        self._baselines = Baselines(home)

    def judge(
        self,
        gate: Gate,
        source: str,
        tables: Mapping[str, pl.LazyFrame],
        refused: tuple[Refusal, ...] = (),
    ) -> Judgement:
        """Return what the rules say of `tables`; `source` names where these are from.

        `refused` are rows of that source that are not in them.
        """
        baselines = self._baselines.of(gate)
        checked: list[Checked] = []
        with progress("checking", len(tables)) as bar:
            for table, rows in tables.items():
                checked += check(table, rows, self._rules.of(table, gate), baselines)
                bar.advance()
        findings = (finding for each in checked for finding in each.findings)
        told = tuple(findings if gate is Gate.INGEST else self._excused(findings))
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return Judgement(Report(gate, source, created, told, refused), tuple(checked))

    def _excused(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield findings about the tables; what was vouched for, and is no worse, may be so."""
        vouched = self._baselines.vouched()
        for each in findings:
            excused = each.passed is False and each.failed <= vouched.get(each.key, 0)
            yield replace(each, vouched=True) if excused else each

    def accept(self, judgement: Judgement) -> None:
        """Take these data for good: later ones are compared with them.

        Rows that are too few to say much replace no baseline, but tell how many they are where
        there is none. What was vouched for and is as expected now needs nobody's word any more.
        """
        gate, findings = judgement.report.gate, judgement.report.findings
        known = self._baselines.of(gate)
        profiles = {
            each.name: each.profile
            if each.profile.rows >= FEWEST
            else TableProfile(each.profile.rows)
            for each in judgement.checked
            if each.profile.rows >= FEWEST or each.name not in known
        }
        self._baselines.move(gate, profiles)
        if gate is Gate.MATERIALIZE and self._baselines.vouched():
            self._baselines.vouch({each.key: each.failed for each in findings if each.vouched})

    def vouch(self, judgement: Judgement) -> None:
        """Let the tables be as they are, until they get worse."""
        findings = judgement.report.findings
        self._baselines.vouch({each.key: each.failed for each in findings if each.passed is False})
