"""The benchmark of drift in small: our rule is quiet and finds what is there, the naive is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtests.drift import trial
from loadtests.drift.plot import false_shares, plot, reached
from loadtests.drift.table import table
from loadtests.drift.trial import CHANGES, CURVE, Outcome, Score, Size, try_out
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


def test_what_is_found_is_drawn(tmp_path: Path) -> None:
    """Equal figures make an equal picture; shares are of all worlds that a rule was tried in."""
    world = {rule: _outcome(rule) for rule in ("ours", "naive")}
    worlds = [world, {"ours": _outcome("ours")}]
    plot(worlds, tmp_path / "a.svg")
    plot(worlds, tmp_path / "b.svg")
    told = (tmp_path / "a.svg").read_text()
    assert told == (tmp_path / "b.svg").read_text()
    assert "<svg" in told
    assert reached(worlds, "0.2 sd") == [0.2, 0.4, 0.4]
    assert false_shares(worlds, "naive") == (0.5, 0.5)
    assert false_shares(worlds, "ours") == (0, 0)


def _outcome(rule: str) -> Outcome:
    """Return what was found of five columns: one, then another, and where naive as many others."""
    scores = {}
    drifted = {f"number {each}" for each in range(5)}
    for change in {**CHANGES, **(CURVE if rule == "ours" else {})}:
        scores[change] = Score()
        for found in ("number 0", "number 1", "number 0"):
            false = {"number 30"} if rule == "naive" else set()
            scores[change].add({found} | false, drifted)
    return Outcome(quiet=4, alarms=2 if rule == "naive" else 0, scores=scores)


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
