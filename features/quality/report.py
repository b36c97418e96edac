"""What checks found: for people as a table of text, for programs as JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

from features.aligned import aligned
from features.quality.gates import Gate
from features.quality.refusals import Refusal
from features.quality.rules import Kind

_TITLES = ("rows", "rule", "column", "expected", "found", "")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was expected of some rows; `passed` is None where it could not be judged.

    `failed` counts the rows that are otherwise, 1 for what is about all of them together. What is
    `vouched` for is not as expected, and somebody said that it may be so.
    """

    rows: str
    rule: Kind
    column: str
    expected: str
    passed: bool | None
    found: str
    failed: int = 0
    vouched: bool = False
    about: str = ""
    """Which of the rule's expectations it is, where it may have several of a column."""

    @property
    def key(self) -> str:
        """Return what tells it from the others of a report, and stays when a baseline moves."""
        return f"{self.rows} {self.rule} {self.column} {self.about}".rstrip()

    def __str__(self) -> str:
        """Return it as a sentence."""
        column = f".{self.column}" if self.column else ""
        return f"{self.rows}{column}: {self.rule}: expected {self.expected}: {self.found}"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one batch or one version of the tables at a gate."""

    gate: Gate
    source: str
    """What was checked: the files of a batch, or the versions of the tables."""

    created: str
    findings: tuple[Finding, ...]
    refused: tuple[Refusal, ...] = ()
    """Rows of the files that were refused by themselves, and are not in the batch."""

    @property
    def violations(self) -> list[Finding]:
        """Return what was not as expected, and nobody vouched for."""
        return [each for each in self.findings if each.passed is False and not each.vouched]

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return what `to_json` wrote; raise `ValueError`."""
        told: dict[str, Any] = json.loads(text)
        try:
            findings = tuple(
                Finding(**{**each, "rule": Kind(each["rule"])}) for each in told["findings"]
            )
            refused = tuple(Refusal(**each) for each in told["refused"])
            return cls(Gate(told["gate"]), told["source"], told["created"], findings, refused)
        except (KeyError, TypeError) as error:
            raise ValueError(str(error)) from None


def as_text(findings: Iterable[Finding]) -> str:
    """Return findings as an aligned table."""
    return aligned([_TITLES, *map(_cells, findings)])


def _cells(finding: Finding) -> tuple[str, ...]:
    verdict = {True: "ok", False: "VIOLATED", None: "not judged"}[finding.passed]
    verdict = "vouched for" if finding.vouched else verdict
    told = finding.column, finding.expected, finding.found
    return finding.rows, finding.rule, *told, verdict
