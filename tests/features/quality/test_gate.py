"""The gate: what somebody vouched for, and nothing else, is let in."""

from pathlib import Path

import polars as pl
import pytest

from features.quality.gate import Judgement, QualityGate
from features.quality.gates import Gate
from features.quality.rules import parse_rules

RULES = """
items:
  - {rule: row_count, min: 200, max_growth: 2}
  - {rule: statistics, columns: [price], mean_shift: 3, std_ratio: 3, null_shift: 0.5}
"""


@pytest.fixture
def gate(tmp_path: Path) -> QualityGate:
    """Return a gate of a home of its own."""
    return QualityGate(tmp_path, parse_rules(RULES, "rules.yaml"))


def judged(gate: QualityGate, prices: list[float | None]) -> Judgement:
    """Return what a gate says of tables with items of these prices."""
    return gate.judge(Gate.MATERIALIZE, "v", {"items": pl.LazyFrame({"price": prices})})


def violated(gate: QualityGate, prices: list[float | None]) -> list[str]:
    """Return which expectations are not met, and not vouched for."""
    return [each.about for each in judged(gate, prices).report.violations]


def test_one_word_vouches_for_one_expectation(gate: QualityGate) -> None:
    """Tables that may have too few rows may not have grown too much: that is another."""
    few: list[float | None] = [1.0, 3.0] * 75
    told = judged(gate, few)
    assert [each.about for each in told.report.violations] == ["min"]
    gate.accept(told)
    gate.vouch(told)

    assert violated(gate, few) == []
    assert violated(gate, few * 3) == ["max_growth"]


def test_each_figure_of_a_column_is_vouched_for_by_itself(gate: QualityGate) -> None:
    """Who lets many missing values pass has said nothing of prices in cents."""
    usual: list[float | None] = [1.0, 3.0] * 100
    gate.accept(judged(gate, usual))
    sparse = [*usual[:80], *[None] * 120]
    told = judged(gate, sparse)
    assert [each.about for each in told.report.violations] == ["null_shift"]
    gate.vouch(told)

    assert violated(gate, sparse) == []
    in_cents = [None if each is None else each * 100 for each in sparse]
    assert violated(gate, in_cents) == ["mean_shift most", "std_ratio most"]
