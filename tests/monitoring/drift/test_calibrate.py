"""Calibration: the limit keeps to the budget, and what would be seen is said."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from features.errors import InputError
from models.reference.rows import SLOTS, Rows
from monitoring.__main__ import cli
from monitoring.drift import calibrate_command
from monitoring.drift.budget import Budget
from monitoring.drift.columns import CategoricalColumn, NumericColumn
from monitoring.drift.counts import Counts
from monitoring.drift.detector import Limits, State, Watched, judge
from monitoring.drift.policy import parse_policy, policy_in_force
from monitoring.drift.replay import Looks, Replay, moved, shifted
from tests.support.watched import WatchedShop

POLICY = parse_policy("ignore: []", "test")
RANDOM = np.random.default_rng(8)


def _rows(shoppers: int = 4_000, each: int = 5) -> Rows:
    random = np.random.default_rng(4)
    who = np.repeat(np.arange(shoppers), each).astype(np.uint64)
    slots = np.repeat(random.integers(0, SLOTS, shoppers), each)
    own = np.repeat(random.normal(size=shoppers), each)
    values = {name: own + random.normal(size=len(who)) for name in ("one", "two", "three")}
    return Rows(who, slots, values)


def test_budgets_are_said_as_people_say_them() -> None:
    """And rates are in their period, whatever the windows' length."""
    assert Budget.parse("1/week") == Budget(1.0, "week")
    assert Budget.parse(" 0.5/day ").rate(3, 96, 30) == pytest.approx(1.5)
    for text in ("", "1", "0/week", "1/fortnight", "x/day", "-1/day"):
        with pytest.raises(InputError, match="budget: expected a number above 0"):
            Budget.parse(text)


def test_alarms_are_counted_when_they_begin() -> None:
    """One that lasts is one, and effects below the floor are none."""
    q = np.array([[0.001, 1.0], [0.001, 0.001], [1.0, 0.001], [0.001, 0.001]])
    effects = np.array([[1.0, 0.01]] * 4)
    looks = Looks(("one", "two"), q, q, effects)
    assert looks.alarms(POLICY, 0.01) == 2
    assert looks.alarms(POLICY, 0.0001) == 0
    assert looks.alarms(parse_policy("floors: {two: 0}", "test"), 0.01) == 3


def test_windows_are_of_their_hour_and_of_the_other_half() -> None:
    """Quiet for the most part; a large shift is found, none is not."""
    replay = Replay(_rows(), [], POLICY, 200, 30, seed=1)
    looks = replay.looks()
    assert looks.q.shape == (30, 3)
    assert looks.alarms(POLICY, 0.002) <= 2
    assert replay.found(looks, "two", 3.0, 0.002, 4, 5) == 5
    assert replay.found(looks, "two", 0.0, 1e-9, 4, 5) == 0
    again = Replay(_rows(), [], POLICY, 200, 30, seed=1).looks()
    assert np.array_equal(again.q, looks.q)


SIZES = (0.1, 0.2, 0.3)


def test_what_is_promised_is_what_the_monitor_would_tell() -> None:
    """Trial by trial: beside all columns corrected, and above the floor."""
    many = {f"n{each}": RANDOM.normal(size=20_000) for each in range(12)}
    rows = _rows()
    rows = replace(rows, values={**rows.values, **many})
    replay, q, within = Replay(rows, [], POLICY, 200, 20, seed=1), 0.02, 3
    looks = replay.looks()
    promised = [replay.found(looks, "two", size, q, within, 6) for size in SIZES]
    limits = replace(POLICY.limits, q=q, suspect=q)
    told = [_told(replay, size, limits, within, 6) for size in SIZES]
    assert promised == told
    assert promised == sorted(promised)
    alone = Replay(_rows(), [], POLICY, 200, 20, seed=1)
    assert 0 < promised[1] < alone.found(alone.looks(), "two", SIZES[1], q, within, 6)


def _told(replay: Replay, size: float, limits: Limits, within: int, trials: int) -> int:
    """Return how often the monitor's own decision is that column two has drifted."""
    (reference,) = replay.references
    column = reference.column("two")
    assert isinstance(column, NumericColumn)
    found = 0
    for start in np.linspace(0, 20 - within, trials).astype(int).tolist():
        windows = [Counts.of(reference.columns, each) for each in replay._rows]
        for at in range(16 + start, 16 + start + within):
            rows = replay._rows[at]
            values = {**rows.values, "two": rows.values["two"] + size * column.spread}
            windows[at] = Counts.of(reference.columns, replace(rows, values=values))
        looked = [
            judge([Watched(reference, windows[at - 15 : at + 1])], limits, {})["two"].state
            for at in range(16 + start, 16 + start + within)
        ]
        found += State.DRIFTED in looked
    return found


def test_words_move_from_the_commonest_level() -> None:
    """So many of all, and no more than there are; from one level alone to a new one."""
    words = np.array(["a"] * 60 + ["b"] * 30 + [None] * 10, object)
    told = moved(CategoricalColumn.of("w", words.tolist()), words, 0.2, 0)
    assert [(told == each).sum() for each in ("a", "b")] == [40, 50]
    assert (moved(CategoricalColumn.of("w", ["a"]), words, 0.9, 0) == "another").sum() == 60


def test_whole_numbers_stay_whole() -> None:
    """They grow as much on average as others do; what is missing stays so."""
    whole = shifted(np.array([1.0, np.nan, *[2.0] * 4_000]), 1.25, 0)
    assert np.isnan(whole[1])
    assert set(whole[2:].tolist()) == {3.0, 4.0}
    assert whole[2:].mean() == pytest.approx(3.25, abs=0.03)
    assert shifted(np.array([0.5, 1.0]), 0.25, 0).tolist() == [0.75, 1.25]


def _run(home: Path, *words: str) -> Result:
    small = ("--rounds", "1", "--windows", "12", "--rows", "150")
    return CliRunner().invoke(cli, ["calibrate", *small, *words], env={"CUVEE_HOME": str(home)})


def test_the_limit_is_told_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it would see of each column; the file is a policy."""
    monkeypatch.setattr(calibrate_command, "TRIALS", 5)
    monkeypatch.setattr(calibrate_command, "SHIFTS", (0.1, 1.0))
    WatchedShop(tmp_path).promote()
    path = tmp_path / "drift.yaml"
    done = _run(tmp_path, "--budget", "1/day", "--write", str(path))
    assert done.exit_code == 0, done.output
    told = re.match(r"q ([\d.e-]+): (\d+) false alarms in 12 windows of 150 rows", done.output)
    assert told is not None
    assert policy_in_force(path).limits.q == float(told[1])
    assert policy_in_force(path).ignore == policy_in_force().ignore
    assert re.search(r"^recent_spend +[\d.]+ sd \([\d.]+\)$", done.output, re.MULTILINE)
    assert re.search(r"^age +none$", done.output, re.MULTILINE)  # it never varies
    assert re.search(r"^scores.level +[\d.]+ sd \([\d.]+\)$", done.output, re.MULTILINE)
    assert re.search(r"^country +\d+% from the commonest", done.output, re.MULTILINE)


def test_what_cannot_be_calibrated_is_one_line(tmp_path: Path) -> None:
    """No model, a budget that is none."""
    done = _run(tmp_path)
    assert (done.exit_code, done.output) == (2, "error: there is no production model\n")
    done = _run(tmp_path, "--budget", "often")
    assert (done.exit_code, done.output[:16]) == (2, "error: budget: e")
