"""A model on trial in the registry: begun, moved on, ended, and only by who saw what is."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from features.ids import stable_hash
from models.__main__ import cli
from models.advance import advance
from models.bundle import write_bundle
from models.canary import Assignment, Canary
from models.canary_counts import (
    CANARY_ITEMS,
    CANARY_SCORE_SQUARES,
    CANARY_SCORES,
    CanaryCounter,
)
from models.errors import BundleError, ConflictError, DiskError, RegistryError
from models.registry import Registry
from models.rollout import rollout_in_force
from models.shared_registry import SharedRegistry
from models.storage import Directory
from tests.support.bundles import small_parts
from tests.support.limits import no_room

ROLLOUT = rollout_in_force()


def trial(share: float, version: str = "20260101T000000Z-12345678") -> Canary:
    """Return a step of a trial."""
    return Canary.begun(version, 1, share, automatic=True)


def shoppers(count: int = 20_000) -> list[int]:
    """Return hashes of shoppers."""
    return [stable_hash(f"shopper {number}") for number in range(count)]


@pytest.fixture
def versions(registry: Registry) -> tuple[str, str, str]:
    """Return three bundles, of which the first serves."""
    first, second, third = (
        write_bundle(registry.directory, small_parts(items)) for items in (30, 31, 32)
    )
    registry.promote(first)
    return first, second, third


@given(st.text(max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_a_shopper_stays_where_they_are(user_id: str, one: float, other: float) -> None:
    """A larger share has all who are in a smaller one, in whatever process."""
    shopper, (small, large) = stable_hash(user_id), sorted((one, other))
    first = Assignment(trial(small)).has(shopper)
    assert first == Assignment(trial(small)).has(shopper)
    assert Assignment(trial(large)).has(shopper) >= first


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25])
def test_shares_are_what_they_are_called(share: float) -> None:
    """Within five standard deviations of a binomial; the same for every version."""
    all_shoppers = shoppers()
    for number in range(10):
        assignment = Assignment(trial(share, f"version {number}"))
        count = sum(map(assignment.has, all_shoppers))
        spread = (len(all_shoppers) * share * (1 - share)) ** 0.5
        assert abs(count - len(all_shoppers) * share) < 5 * spread


def test_nobody_and_everybody() -> None:
    """At 0 nobody has it; no two trials have the same shoppers."""
    few = shoppers(2_000)
    assert not any(map(Assignment(trial(0.0)).has, few))
    first, second = (set(filter(Assignment(trial(0.05, each)).has, few)) for each in "ab")
    assert first != second


def test_a_trial_goes_from_step_to_step_to_everybody(
    registry: Registry, versions: tuple[str, str, str]
) -> None:
    """Each step leaves a record with its share; the last one is a promotion."""
    first, second, _ = versions
    canary: Canary | None = ROLLOUT.begin(second)
    assert canary is not None
    registry.start_canary(canary, "try it", "ann")
    seen = []
    while canary is not None:
        assert registry.canary() == canary
        assert registry.resolve("canary") == second
        seen.append((canary.step, canary.share))
        canary = advance(registry, ROLLOUT, canary, "kept")
    assert seen == [(0, 0.0), (1, 0.01), (2, 0.05), (3, 0.25)]
    assert (registry.production(), registry.previous(), registry.canary()) == (second, first, None)
    told = list(registry.history())
    assert [each.action for each in told[:5]] == ["promote", *["canary"] * 4]
    assert (told[4].who, told[4].why) == ("ann", "try it")
    assert told[1].aliases.canary is not None
    assert told[1].aliases.canary.share == 0.25
    assert len({told[n].aliases.canary.key for n in range(1, 5)}) == 4  # type: ignore[union-attr]


def test_two_at_once_are_refused(registry: Registry, versions: tuple[str, str, str]) -> None:
    """A second trial waits, and nothing is tried against itself or against nothing."""
    first, second, third = versions
    canary = ROLLOUT.begin(second)
    registry.start_canary(canary)
    with pytest.raises(RegistryError, match=f"{second} is on trial"):
        registry.start_canary(ROLLOUT.begin(third))
    with pytest.raises(RegistryError, match="serves already"):
        registry.start_canary(ROLLOUT.begin(first))
    assert registry.canary() == canary
    registry.move_canary(canary, None, "enough")
    newest = next(registry.history())
    assert (newest.action, newest.why, newest.aliases.canary) == ("stop", "enough", None)


def test_a_trial_is_of_a_version_whatever_it_was_called(
    registry: Registry, versions: tuple[str, str, str], tmp_path: Path
) -> None:
    """An alias may name another model tomorrow, and `production` is none to try."""
    first, second, third = versions
    registry.promote(second)
    shared = SharedRegistry(Directory(tmp_path / "shared"), registry)
    shared.promote(second)
    for each, version in ((registry, first), (shared, third)):
        each.set_candidate(version)
        with pytest.raises(RegistryError, match=f"{second} serves already"):
            each.start_canary(ROLLOUT.begin("production"))
        begun = each.start_canary(ROLLOUT.begin("candidate"))
        assert begun == each.canary()
        assert begun.version == version
        each.move_canary(begun, None)


def test_without_a_production_model_there_is_no_control(registry: Registry) -> None:
    """The first model serves at once."""
    version = write_bundle(registry.directory, small_parts())
    with pytest.raises(RegistryError, match="no production model"):
        registry.start_canary(ROLLOUT.begin(version))


def test_who_has_seen_another_step_changes_nothing(
    registry: Registry, versions: tuple[str, str, str]
) -> None:
    """Of two that move a step one is told of the other; so is who judged what is over."""
    first, second, _ = versions
    begun = ROLLOUT.begin(second)
    registry.start_canary(begun)
    moved = advance(registry, ROLLOUT, begun, "kept", "ann")
    with pytest.raises(ConflictError, match="ann was quicker"):
        advance(registry, ROLLOUT, begun, "kept", "bob")
    with pytest.raises(ConflictError):
        registry.move_canary(begun, None)
    with pytest.raises(ConflictError):
        registry.promote(second, canary=begun)
    assert (registry.canary(), registry.production()) == (moved, first)


@pytest.mark.parametrize("how", ["promote", "rollback"])
def test_a_trial_ends_where_its_control_does(
    registry: Registry, versions: tuple[str, str, str], how: str
) -> None:
    """It was measured against what serves no more."""
    first, second, third = versions
    registry.promote(third)
    registry.start_canary(ROLLOUT.begin(second))
    assert (registry.promote(first) if how == "promote" else registry.rollback()) == first
    assert registry.canary() is None


def test_damage_is_not_tried_and_what_is_tried_is_kept(
    registry: Registry, versions: tuple[str, str, str]
) -> None:
    """A flipped bit is found before; gc leaves what is on trial."""
    _, second, third = versions
    (registry.directory / third / "price.npy").write_bytes(b"")
    with pytest.raises(BundleError, match=r"price\.npy"):
        registry.start_canary(ROLLOUT.begin(third))
    registry.start_canary(ROLLOUT.begin(second))
    assert registry.clear(0).kept[second] == "canary"


def test_an_alias_that_is_none_is_named(registry: Registry, versions: tuple[str, str, str]) -> None:
    """Whoever wrote it by hand is told which file."""
    registry.start_canary(ROLLOUT.begin(versions[1]))
    (registry.directory / "aliases" / "canary").write_text("{}")
    with pytest.raises(RegistryError, match="aliases/canary: not a canary"):
        registry.canary()


@pytest.mark.parametrize(
    "told",
    [
        "garbage",
        "[]",
        '{"version": "v2", "step": 1, "share": "5 %", "since": "2026-11-28T00:00:00+00:00"}',
        '{"version": "v2", "step": 1, "share": 0.05, "since": "2026-11-28T00:00:00"}',
        '{"version": "v2", "step": true, "share": 0.05, "since": "2026-11-28T00:00:00+00:00"}',
    ],
)
def test_an_alias_that_is_none_stands_in_nobodys_way(
    registry: Registry, versions: tuple[str, str, str], told: str
) -> None:
    """It is told, and goes with the next promotion or rollback: these may be urgent."""
    first, second, _ = versions
    registry.promote(second)
    path = registry.directory / "aliases" / "canary"
    path.write_text(told)
    with pytest.raises(RegistryError, match="aliases/canary: not a canary"):
        registry.canary()
    assert registry.astray() == {path: told}
    assert registry.rollback() == first
    assert (registry.canary(), registry.astray()) == (None, {})
    assert next(registry.history()).action == "rollback"
    path.write_text(told)
    canary = rollout_in_force().begin(second, by_hand=True)
    assert registry.start_canary(canary) == registry.canary() == canary


def test_harm_ends_on_a_full_disk(
    registry: Registry, versions: tuple[str, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """No record can be written: the log has it, and the next record says what was found."""
    _, second, third = versions
    canary = registry.start_canary(ROLLOUT.begin(second))
    with no_room():
        with pytest.raises(DiskError):
            registry.move_canary(canary, ROLLOUT.after(canary))
        assert registry.canary() == canary
        registry.move_canary(canary, None, "much harm")
    assert registry.canary() is None
    assert "a trial ended, which no record says (File too large): much harm" in caplog.text
    registry.promote(third)
    assert [each.action for each in registry.history()][:3] == ["promote", "found", "canary"]


def test_records_of_old_are_read_and_new_ones_name_no_trial_where_there_is_none(
    registry: Registry, versions: tuple[str, str, str]
) -> None:
    """What knows nothing of trials reads them as long as there are none."""
    (record,) = registry.history()
    told = orjson.loads(record.to_json())
    assert set(told["aliases"]) == {"production", "previous", "candidate"}
    assert record.aliases.production == versions[0]


def test_homes_share_a_trial(
    registry: Registry, versions: tuple[str, str, str], tmp_path: Path
) -> None:
    """Another home pulls what is on trial, with its share, and its end; two at once, too."""
    _, second, third = versions
    where = tmp_path / "shared"
    shared = SharedRegistry(Directory(where), registry)
    other = Registry(tmp_path / "other")
    there = SharedRegistry(Directory(where), other)
    shared.promote(versions[0])
    begun = ROLLOUT.begin(second)
    shared.start_canary(begun, "try it")
    there.follow()
    assert other.canary() == registry.canary() == shared.canary() == begun
    assert other.load("canary").version == second
    with pytest.raises(RegistryError, match="is on trial"):
        there.start_canary(ROLLOUT.begin(third))
    moved = advance(there, ROLLOUT, begun, "kept")
    with pytest.raises(ConflictError):
        shared.move_canary(begun, None)
    shared.follow()
    assert registry.canary() == moved != begun
    shared.move_canary(moved, None, "enough")  # type: ignore[arg-type]
    there.follow()
    assert other.canary() is None


def run(*arguments: str) -> Result:
    """Run a verb of the room."""
    return CliRunner().invoke(cli, ["canary", *arguments])


def test_the_commands(
    registry: Registry, versions: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun, shown, moved on by hand to the end, stopped."""
    _, second, third = versions
    monkeypatch.setenv("CUVEE_HOME", str(registry.directory.parent))
    assert run("status").stdout == "no model is on trial\n"
    assert run("status", "--json").stdout == "null\n"
    assert "no model is on trial" in run("stop").stderr
    assert "there is no candidate model" in run("start").stderr
    registry.set_candidate(second)
    told = run("start", "--by-hand").stdout
    assert told == f"{second} ranks beside the model that serves, by hand\n"
    lines = run("status").stdout.splitlines()
    assert lines[1] == "hold: 0 of 300 requests"
    assert lines[3].split() == ["errors", "-", "-", "-", "-", "0.01", "open"]
    canary = registry.canary()
    assert canary is not None
    counter = CanaryCounter(registry.directory.parent, canary)
    for field, value in ((CANARY_SCORES, 6), (CANARY_SCORE_SQUARES, 20), (CANARY_ITEMS, 2)):
        counter.add_shadow(field, value)
    assert run("status").stdout.splitlines()[-1] == "scores of the canary: 3 ± 1"
    state: dict[str, Any] = json.loads(run("status", "--json").stdout)
    assert (state["canary"]["automatic"], state["move"]) == (False, "hold")
    assert state["scores"] == {"control": None, "canary": [3, 1]}
    assert run("advance", "--step", state["key"]).stdout.startswith(f"{second} serves 1.00%")
    assert "is over" in run("advance", "--step", state["key"]).stderr
    assert "is on trial" in run("start", third).stderr
    outputs = [run("advance").stdout for _ in range(3)]
    assert outputs[-1] == f"production is {second}\n"
    run("start", third)
    assert run("stop", "--why", "enough").stdout == f"{third} is not on trial any more\n"
    ages = [each.number for each in registry.history()]
    assert all(one == other + 1 for one, other in pairwise(ages))
