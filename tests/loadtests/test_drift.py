"""The benchmark of drift in small: our rule is quiet and finds what is there, the naive is not."""

from dataclasses import replace

import numpy as np
import pytest

from loadtests.drift import trial
from loadtests.drift.table import table
from loadtests.drift.trial import Outcome, Score, Size, try_out
from loadtests.drift.world import Change, World
from models.reference.rows import SLOTS

SMALL = Size(quiet=3, changed=3, rows=600, reference_rows=SLOTS * 100)


@pytest.mark.slow
def test_the_rules_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a standard deviation is found by both, and only by ours without a false alarm."""
    monkeypatch.setattr(trial, "CHANGES", {"0.5 sd": Change(shift=0.5)})
    told = try_out(7, SMALL, naive=True)
    ours, naive = told["ours"], told["naive"]
    assert (ours.quiet, ours.alarms) == (3, 0)
    assert naive.alarms == 3
    assert ours.scores["0.5 sd"].first is not None
    assert ours.scores["0.5 sd"].wrong == 0
    assert naive.scores["0.5 sd"].wrong > naive.scores["0.5 sd"].right
    lines = table([told], ["0.5 sd"]).splitlines()
    assert lines[2].startswith("| naive | 3 | 100.0% |")
    assert lines[3].startswith("| ours | 3 | 0.0% |")


def test_equal_seeds_draw_equal_worlds() -> None:
    """And a change changes only what it says."""
    hours = [World(3).hour(5, 200, change) for change in (Change(), Change(), Change(shift=1.0))]
    one, again = (each.values for each in hours[:2])
    assert all(np.array_equal(one[each], again[each]) for each in one)
    moved = hours[2].values["number 0"] - hours[0].values["number 0"]
    assert moved.tolist() == pytest.approx([1.0] * 200)
    assert np.array_equal(hours[0].values["number 9"], hours[2].values["number 9"])


def test_mass_moves_and_levels_appear() -> None:
    """In the words that drift, and in no others."""
    usual, moved = (World(3).hour(5, 20_000, each) for each in (Change(), Change(moved=0.05)))
    shares = [(each.values["word 0"] == "level 1").mean() for each in (usual, moved)]
    assert shares[1] - shares[0] == pytest.approx(0.05, abs=0.01)
    new = World(3).hour(5, 20_000, Change(new=0.02)).values
    assert (new["word 1"] == "new level").mean() == pytest.approx(0.02, abs=0.005)
    assert not (new["word 2"] == "new level").any()


def test_what_is_never_found_is_said() -> None:
    """A median over worlds in most of which nothing was flagged."""
    score = Score(looks=4, possible=8)
    outcome = Outcome(quiet=10, alarms=1, scores={"x": score}, seconds=0.5, looks=5)
    found = replace(outcome, scores={"x": replace(score, right=2, wrong=2, first=3)})
    assert "| ours | 10 | 10.0% | 0% / - / never | 100 |" in table([{"ours": outcome}], ["x"])
    both = [{"ours": outcome}, {"ours": found}, {"ours": found}]
    assert "| 17% / 50.0% / 3 | 100 |" in table(both, ["x"])
