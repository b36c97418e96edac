"""The audit trail, and the limits that are counted from it."""

from pathlib import Path

import pytest

from monitoring.response.errors import TrailError
from monitoring.response.limits import Limits
from monitoring.response.parse import parse_policy
from monitoring.response.policy import Action
from monitoring.response.trail import FOLDER, Decided, Trail, new_id, seconds_of
from tests.support.found import START_S
from tests.support.limits import no_room

DAY_S = 86_400.0
POLICY = parse_policy(
    "overall: {most: 3, per: 24h}\n"
    "actions: {rollback: {most: 1, per: 24h}, retrain: {most: 2}, alert: {most: 5}}",
    "x",
)


def test_lines_are_only_ever_added(tmp_path: Path) -> None:
    """A file for each month, read in order, with the moment of each line."""
    trail = Trail(tmp_path)
    for number, at_s in enumerate((START_S - 1, START_S, START_S + 40 * DAY_S)):
        trail.add(at_s, {"id": number})
    names = sorted(path.name for path in (tmp_path / FOLDER).iterdir())
    assert names == ["2025-12.jsonl", "2026-01.jsonl", "2026-02.jsonl"]
    lines = list(trail.lines())
    assert [line["id"] for line in lines] == [0, 1, 2]
    assert seconds_of(lines[1]) == START_S
    assert [line["id"] for line in trail.lines(START_S + DAY_S)] == [1, 2]


def test_what_a_crash_left_spoils_no_other_line(tmp_path: Path) -> None:
    """Half a line stays half a line; what is no line at all is passed over."""
    trail = Trail(tmp_path)
    trail.add(START_S, {"id": 1})
    path = tmp_path / FOLDER / "2026-01.jsonl"
    with path.open("ab") as file:
        file.write(b'7\n{"id": 2, "at"')
    trail.add(START_S, {"id": 3})
    assert [line["id"] for line in trail.lines()] == [1, 3]


def test_a_full_disk_takes_a_line_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was there stays, and once there is room again lines follow it."""
    trail = Trail(tmp_path)
    trail.add(START_S, {"id": 1})
    path = tmp_path / FOLDER / "2026-01.jsonl"
    before = path.read_bytes()
    for size in (0, len(before), len(before) + 10):
        with no_room(size), pytest.raises(TrailError, match=r"2026-01\.jsonl: "):
            trail.add(START_S, {"id": 2, "why": "x" * 100})
        assert path.read_bytes() == before
    trail.add(START_S, {"id": 3})
    assert [line["id"] for line in trail.lines()] == [1, 3]


def test_names_of_decisions_sort_by_time_and_differ() -> None:
    """So that a trail can be read by name."""
    assert new_id(START_S) != new_id(START_S)
    assert new_id(START_S) < new_id(START_S + 1)


def _limits(*taken: tuple[Action, float]) -> Limits:
    limits = Limits()
    for action, at_s in taken:
        limits.note(action, at_s, is_dry=False)
    return limits


def test_an_action_is_taken_so_often_in_so_long() -> None:
    """Then it waits until the first is long enough ago."""
    limits = _limits((Action.ROLLBACK, START_S))
    told = limits.refusal(POLICY, Action.ROLLBACK, START_S + 60)
    assert told == "rollback: 1 of 1 in 24 h"
    assert limits.refusal(POLICY, Action.RETRAIN, START_S + 60) is None
    assert limits.refusal(POLICY, Action.ROLLBACK, START_S + DAY_S) is None


def test_all_that_changes_something_has_a_limit_together() -> None:
    """Alerts have not: what is done most often must not keep the rest from being done."""
    limits = _limits(
        (Action.FALLBACK, START_S), (Action.FALLBACK, START_S), (Action.RETRAIN, START_S)
    )
    told = limits.refusal(POLICY, Action.ROLLBACK, START_S + 60)
    assert told == "all actions together: 3 of 3 in 24 h"
    assert limits.refusal(POLICY, Action.ALERT, START_S + 60) is None
    alerts = _limits(*[(Action.ALERT, START_S)] * 5)
    assert alerts.refusal(POLICY, Action.ALERT, START_S + 60) == "alert: 5 of 5 in 1 h"
    assert alerts.refusal(POLICY, Action.ROLLBACK, START_S + 60) is None


def test_limits_are_counted_from_the_trail(tmp_path: Path) -> None:
    """Of what was taken; what was refused, done by hand, or is no decision does not count."""
    trail = Trail(tmp_path)
    trail.add(START_S, {"id": "a", "action": "rollback", "decided": Decided.TAKEN})
    for decided in (Decided.REFUSED, Decided.LIMITED, Decided.BY_HAND, "dreamt"):
        trail.add(START_S, {"id": "b", "action": "retrain", "decided": decided})
    trail.add(START_S, {"id": "a", "led_to": "retrain"})
    trail.add(START_S, {"id": "c", "action": "dance", "decided": Decided.TAKEN})
    limits = Limits()
    limits.read(trail.lines())
    assert limits.refusal(POLICY, Action.ROLLBACK, START_S + 1) is not None
    assert limits.refusal(POLICY, Action.RETRAIN, START_S + 1) is None


def test_a_dry_run_uses_up_nothing_real() -> None:
    """It keeps to the same limits, of its own."""
    dry = parse_policy("actions: {rollback: {dry_run: true}}", "x")
    limits = Limits()
    limits.note(Action.ROLLBACK, START_S, is_dry=True)
    assert limits.refusal(POLICY, Action.ROLLBACK, START_S + 1) is None
    assert limits.refusal(dry, Action.ROLLBACK, START_S + 1) is not None


def test_a_clock_that_told_of_the_far_future_blocks_nothing_for_ever() -> None:
    """What lies a little ahead counts: the clock was put right by a little."""
    limits = _limits((Action.ROLLBACK, START_S + 400 * DAY_S))
    assert limits.refusal(POLICY, Action.ROLLBACK, START_S) is None
    limits.note(Action.ROLLBACK, START_S + 60, is_dry=False)
    assert limits.refusal(POLICY, Action.ROLLBACK, START_S) is not None
