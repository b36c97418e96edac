"""A model on trial in a service: who gets it, how it goes on, and what ends it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.ids import stable_hash
from features.lists import spool
from features.lists.line import parse
from features.online.embedded import EmbeddedValkey
from models.bundle import write_bundle
from models.canary import Assignment, Canary
from models.canary_counts import CANARY, CONTROL, read_counts
from models.model import Model
from models.parts import Parts
from models.registry import Registry
from models.shared_registry import SharedRegistry
from models.storage import Directory
from monitoring.fallback_share import FallbackShare, write_share
from server import keys
from tests.support.bundles import small_parts
from tests.support.failing import empty_parts, failing_parts
from tests.support.service import ADMIN, Client, Start, ask, event, ids, send

QUICK = """
steps: [0.01, 0.05, 0.25]
least_requests: 60
least_s: 0
alpha: 0.05
shadow: {requests: 50, share: 1, cpu_share: 1}
guardrails: {errors: 0.2, fallbacks: 0.2, empty: 0.2, latency_ms: 60000, clicks: 0.5}
"""
NO_SHADOW = QUICK.replace("requests: 50,", "requests: 0,")


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """Return one store: nothing of a trial is in it."""
    return valkey.url


@pytest.fixture
def registry(home: Path) -> Registry:
    """Return the registry of the home."""
    return Registry(home)


def declared(home: Path, text: str = QUICK) -> dict[str, str]:
    """Return the variable that names a rollout."""
    path = home / "rollout.yaml"
    path.write_text(text)
    return {"CUVEE_ROLLOUT": str(path)}


def logged(home: Path) -> list[dict[str, Any]]:
    """Return the lists that were served, as whole segments have them."""
    contents = (each.path.read_bytes() for each in spool.whole_segments(home))
    return [row for content in contents for row in map(parse, content.splitlines()) if row]


def shoppers_of(version: str, share: float, count: int, *, inside: bool) -> list[str]:
    """Return shoppers that a canary of that share has, or has not."""
    has = Assignment(Canary.begun(version, 1, share, automatic=True)).has
    found: list[str] = []
    number = 0
    while len(found) < count:
        number += 1
        if has(stable_hash(f"u{number}")) is inside:
            found.append(f"u{number}")
    return found


async def admin(service: Client, path: str, told: object = None) -> tuple[int, dict[str, Any]]:
    """Post to an admin route."""
    answer = await service.post(path, headers=ADMIN, json=told)
    return answer.status, await answer.json(content_type=None)


async def started(service: Client, version: str) -> None:
    """Begin a trial over HTTP and see this worker take part."""
    status, told = await admin(service, f"/v1/models/{version}/promote", {"how": "canary"})
    assert (status, told["canary"]["version"]) == (200, version), told
    assert service.app[keys.MODELS].trial is not None


async def known(service: Client, users: list[str], kind: str = "click") -> None:
    """Let all of these shoppers have done something."""
    item = ids(await (await service.get("/v1/popular")).json())[0]
    await send(service, *(event(user, item, kind) for user in users))


async def shop(
    service: Client, users: list[str], holds: Callable[[], bool]
) -> list[tuple[str, dict[str, Any]]]:
    """Ask for these shoppers, over and over, until it holds; every answer must be one."""
    answers = []
    async with asyncio.timeout(250):
        while not holds():
            told = await asyncio.gather(*(ask(service, user) for user in users))
            answers += list(zip(users, told, strict=True))
    return answers


async def test_who_is_held_back_says_nothing_of_either_model(
    start: Start, home: Path, registry: Registry
) -> None:
    """They get popular items on purpose, in both arms."""
    service = await start(**declared(home, QUICK), CUVEE_CACHE_TTL_S="0")
    users = [f"u{number}" for number in range(8)]
    await known(service, users)
    await started(service, write_bundle(home / "models", small_parts(31)))
    canary = registry.canary()
    assert canary is not None
    now_s = time.time()
    write_share(home, FallbackShare(1.0, now_s, now_s + 600, "test"))
    await service.app[keys.LADDER].held_back.look()
    for user in users:
        assert (await ask(service, user))["reason"] == "fallback_share"
    counts = read_counts(home, canary)
    assert counts.shoppers(CONTROL) + counts.shoppers(CANARY) == 0


async def test_a_good_model_goes_from_nobody_to_everybody(
    start: Start, home: Path, registry: Registry
) -> None:
    """Under load, by itself; no request fails, and who is outside a share never sees it."""
    steps = QUICK.replace("[0.01, 0.05, 0.25]", "[0.4, 0.5, 0.6]")
    service = await start(**declared(home, steps), CUVEE_CACHE_TTL_S="0")
    first = str(registry.production())
    second = write_bundle(home / "models", small_parts(31))
    everybody = [f"u{number}" for number in range(60)]
    inside = [each for each in everybody if each in shoppers_of(second, 0.4, 60, inside=True)]
    outside = [each for each in everybody if each in shoppers_of(second, 0.6, 60, inside=False)]
    await known(service, everybody)
    await started(service, second)
    models = service.app[keys.MODELS]
    answers = await shop(service, everybody, lambda: models.require().version == second)
    by_shopper: dict[str, list[str]] = {}
    for user, answer in answers:
        by_shopper.setdefault(user, []).append(answer["model_version"])
    assert {version for user in outside for version in by_shopper[user][:-1]} == {first}
    for user in inside:
        seen = by_shopper[user]
        assert seen == sorted(seen, key=[first, second].index)  # never back
        assert seen[-1] == second
    actions = [(each.action, each.who.startswith("judge@")) for each in registry.history()]
    assert actions[:5] == [("promote", True), *[("canary", True)] * 3, ("canary", False)]
    assert (registry.previous(), registry.canary()) == (first, None)
    assert (await ask(service, outside[0]))["model_version"] == second
    metrics = ""
    async with asyncio.timeout(20):  # what it did the judge counts afterwards
        while not (
            'cuvee_canary_moves_total{move="advance"} 4.0' in metrics
            and "cuvee_canary_share_ratio 0.0" in metrics
        ):
            metrics = await (await service.get("/metrics")).text()
    assert 'cuvee_canary_answers_total{outcome="ranked",variant="canary"}' in metrics


@pytest.mark.parametrize(
    ("parts", "told", "kind"),
    [(failing_parts, "fallbacks: ", "purchase"), (empty_parts, "empty: ", "click")],
)
async def test_a_bad_model_is_ended_with_a_reason(
    start: Start,
    home: Path,
    registry: Registry,
    parts: Callable[[], Parts],
    told: str,
    kind: str,
) -> None:
    """It fails for some, or has no items; everybody still had an answer, and has the old one."""
    service = await start(**declared(home, NO_SHADOW))
    first, second = registry.production(), write_bundle(home / "models", parts())
    inside = shoppers_of(second, 0.01, 20, inside=True)
    outside = shoppers_of(second, 0.25, 20, inside=False)
    await known(service, inside + outside, kind)
    await started(service, second)
    await shop(service, inside + outside, lambda: registry.canary() is None)
    newest = next(registry.history())
    assert (newest.action, newest.why.startswith(told)) == ("stop", True), newest
    assert registry.production() == first
    async with asyncio.timeout(20):
        while service.app[keys.MODELS].trial is not None:
            await asyncio.sleep(0.05)
    assert (await ask(service, inside[0]))["model_version"] == first
    metrics = ""
    async with asyncio.timeout(20):
        while 'cuvee_canary_moves_total{move="stop"} 1.0' not in metrics:
            metrics = await (await service.get("/metrics")).text()
    assert 'cuvee_canary_answers_total{outcome="error",variant="canary"} 0.0' in metrics
    await service.close()
    divided = [row for row in logged(home) if row["variant"] is not None]
    for row in divided:  # from below the model, too
        assert (row["variant"] == "canary") is (row["user_id"] in inside)
        assert row["model_version"] == (second if row["user_id"] in inside else first)
    if parts is failing_parts:
        fallen = {row["variant"] for row in divided if row["reason"] == "model_error"}
        assert fallen == {"canary"}


async def test_a_slow_model_is_ended_and_keeps_nobody_else_waiting(
    start: Start, home: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runs have a thread of their own."""
    import threading

    service = await start(**declared(home, NO_SHADOW.replace("60000", "20")), CUVEE_CACHE_TTL_S="0")
    second = write_bundle(home / "models", small_parts(31))
    inside = shoppers_of(second, 0.01, 10, inside=True)
    outside = shoppers_of(second, 0.25, 10, inside=False)
    await known(service, inside + outside)
    await started(service, second)
    rank, released = Model.rank, threading.Event()

    def slow(model: Model, *arguments: Any) -> Any:
        if model.version == second:
            released.wait(0.3)
        return rank(model, *arguments)

    monkeypatch.setattr(Model, "rank", slow)
    waiting = asyncio.ensure_future(ask(service, inside[0]))
    assert (await ask(service, outside[0]))["source"] == "model"
    assert not waiting.done()
    await shop(service, inside + outside, lambda: registry.canary() is None)
    released.set()
    assert (await waiting)["model_version"] == second
    assert next(registry.history()).why.startswith(("latency_ms: ", "fallbacks: "))


async def test_a_model_that_fails_beside_answers_nobody(
    start: Start, home: Path, registry: Registry
) -> None:
    """The shadow finds it before any shopper does."""
    service = await start(**declared(home), CUVEE_CACHE_TTL_S="0")
    first, second = registry.production(), write_bundle(home / "models", failing_parts())
    users = shoppers_of(second, 0.01, 10, inside=True)
    await known(service, users, "purchase")
    await started(service, second)
    answers = await shop(service, users, lambda: registry.canary() is None)
    assert {answer["model_version"] for _, answer in answers} == {first}
    reasons = {answer["reason"] for _, answer in answers}  # a busy machine may be late
    assert reasons <= {None, "deadline", "feature_timeout", "overload"}
    assert {answer["source"] for _, answer in answers if answer["reason"] is None} == {"model"}
    assert next(registry.history()).why.startswith("errors: ")


async def test_the_shadow_compares_lists_and_scores(
    start: Start, home: Path, registry: Registry
) -> None:
    """Of what the control ranked; a model beside its own like differs in nothing."""
    from models import canary_counts as counted

    service = await start(**declared(home, QUICK + "automatic: false\n"), CUVEE_CACHE_TTL_S="0")
    second = write_bundle(home / "models", replace(small_parts(), parameters={"seed": 8}))
    users = [f"u{number}" for number in range(10)]
    await known(service, users)
    await started(service, second)
    canary = registry.canary()
    assert canary is not None

    def counts() -> counted.CanaryCounts:
        return counted.read_counts(home, canary)

    await shop(service, users, lambda: counts().shadow(counted.SHADOW_REQUESTS) >= 60)
    service.app[keys.MODELS].close()
    await asyncio.sleep(0.1)  # what is under way ends
    seen = counts()
    requests = seen.shadow(counted.SHADOW_REQUESTS)
    assert seen.shadow(counted.OVERLAP) == requests
    assert seen.shadow(counted.SHADOW_FAILED) == seen.shadow(counted.SHADOW_EMPTY) == 0
    control, same = seen.scores(counted.CONTROL), seen.scores(counted.CANARY)
    assert control is not None
    assert control == pytest.approx(same)
    assert seen.shadow(counted.CONTROL_S) > 0


async def test_shares_that_are_not_as_declared_hold(
    start: Start, home: Path, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of who comes has the canary, not one of a hundred: it does not go on, which is told."""
    from models import canary_counts as counted

    service = await start(**declared(home, NO_SHADOW), CUVEE_CACHE_TTL_S="0")
    second = write_bundle(home / "models", small_parts(31))
    inside = shoppers_of(second, 0.01, 20, inside=True)
    outside = shoppers_of(second, 0.25, 20, inside=False)
    await known(service, inside + outside)
    await started(service, second)
    canary = registry.canary()
    assert canary is not None

    def requests() -> float:
        return counted.read_counts(home, canary).total(counted.CANARY, counted.REQUESTS)

    await shop(service, inside + outside, lambda: requests() > 200)
    for _ in range(3):
        await service.app[keys.JUDGE].look()
    assert registry.canary() == canary
    told = [each.message for each in caplog.records if "sample ratio mismatch" in each.message]
    assert len(told) == 1
    assert "shoppers: 20 of 40 have the canary, 50.00%, declared 1.00%" in told[0]


async def test_without_traffic_nothing_happens(
    start: Start, home: Path, registry: Registry
) -> None:
    """Nobody comes: it waits, however often it is looked at."""
    service = await start(**declared(home))
    second = write_bundle(home / "models", small_parts(31))
    await started(service, second)
    canary = registry.canary()
    for _ in range(20):
        await service.app[keys.JUDGE].look()
    assert registry.canary() == canary
    assert canary is not None
    assert canary.step == 0


async def test_clicks_count_in_the_arm_of_their_shopper(
    start: Start, home: Path, registry: Registry
) -> None:
    """Where an event names the list that it came from."""
    from models import canary_counts as counted

    service = await start(**declared(home, NO_SHADOW))
    second = write_bundle(home / "models", small_parts(31))
    await started(service, second)
    (inside,) = shoppers_of(second, 0.01, 1, inside=True)
    (outside,) = shoppers_of(second, 0.25, 1, inside=False)
    told = await ask(service, inside)
    more = {"recommendation_id": told["recommendation_id"]}
    item = ids(told)[0]
    await send(service, event(inside, item, **more), event(outside, item), event(inside, item))
    canary = registry.canary()
    assert canary is not None
    counts = counted.read_counts(home, canary)
    clicks = [counts.total(arm, counted.CLICKS) for arm in (counted.CONTROL, counted.CANARY)]
    assert clicks == [0, 1]


async def test_by_hand_over_http(start: Start, home: Path, registry: Registry) -> None:
    """Step by step to everybody; two at once, and what is no trial, are refused."""
    service = await start(**declared(home))
    second, third = (write_bundle(home / "models", small_parts(each)) for each in (31, 32))
    for path in ("advance", "stop"):
        assert (await admin(service, f"/v1/models/canary/{path}"))[0] == 404
    assert (await service.post("/v1/models/canary/stop")).status == 401
    await started(service, second)
    path = f"/v1/models/{third}/promote"
    status, told = await admin(service, path, {"how": "canary"})
    assert (status, f"{second} is on trial" in told["detail"]) == (409, True)
    wrongs: list[object] = [{"how": "soon"}, {"who": "ann"}, []]
    for wrong in wrongs:
        assert (await admin(service, path, wrong))[0] == 422
    shares = [(await admin(service, "/v1/models/canary/advance"))[1]["canary"] for _ in range(4)]
    assert [each and each["share"] for each in shares] == [0.01, 0.05, 0.25, None]
    assert (await admin(service, "/v1/models/rollback"))[1]["serving"] != second
    await started(service, second)
    status, told = await admin(service, "/v1/models/canary/stop")
    assert (status, told["canary"], registry.canary()) == (200, None, None)


async def test_what_served_before_is_there_at_once(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promoted canary and a rollback load nothing; after its time the old one goes."""
    monkeypatch.setattr("server.current_model.POLL_S", 0.05)
    service = await start(**declared(home, NO_SHADOW + "keep_warm_s: 2\n"))
    models = service.app[keys.MODELS]
    first, second = models.model, write_bundle(home / "models", small_parts(31))
    await started(service, second)
    trial = models.trial
    assert trial is not None
    for _ in range(3):
        await admin(service, "/v1/models/canary/advance")
    assert (models.model is trial.model, models.kept is first) == (True, True)
    loads: list[str] = []
    monkeypatch.setattr(Registry, "load", lambda _, version: loads.append(version))
    await admin(service, "/v1/models/rollback")
    assert (models.model is first, models.kept is trial.model, loads) == (True, True, [])
    async with asyncio.timeout(30):
        while models.kept is not None:
            await asyncio.sleep(0.05)


async def test_nobody_goes_back_while_a_canary_is_promoted(
    start: Start, home: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aliases that move while they are read take the model from nobody who has it."""
    monkeypatch.setattr("server.current_model.POLL_S", 60)
    service = await start(**declared(home, NO_SHADOW))
    second = write_bundle(home / "models", small_parts(31))
    await started(service, second)
    (inside,) = shoppers_of(second, 0.01, 1, inside=True)
    models, read = service.app[keys.MODELS], Registry.production

    def moved_behind(told: Registry) -> str | None:
        version = read(told)
        monkeypatch.setattr(Registry, "production", read)
        registry.promote(second)
        return version

    monkeypatch.setattr(Registry, "production", moved_behind)
    for _ in range(2):
        await models.refresh()
        assert models.of(inside).version == second
    assert (models.require().version, models.trial) == (second, None)


async def test_an_alias_that_is_no_canary_ends_the_trial_and_nothing_else(
    start: Start, home: Path, registry: Registry
) -> None:
    """What serves is followed on."""
    service = await start(**declared(home))
    second = write_bundle(home / "models", small_parts(31))
    await started(service, second)
    (registry.directory / "aliases" / "canary").write_text("{}")
    models = service.app[keys.MODELS]
    (registry.directory / "aliases" / "production").write_text(second)
    await models.refresh()
    assert (models.trial, models.require().version) == (None, second)


async def test_one_that_cannot_be_loaded_here_is_ended(
    start: Start, home: Path, registry: Registry
) -> None:
    """The file went bad after the trial began elsewhere: everybody has the old one."""
    second = write_bundle(home / "models", small_parts(31))
    registry.start_canary(Canary.begun(second, 1, 0.5, automatic=True))
    (home / "models" / second / "price.npy").write_bytes(b"")
    service = await start(**declared(home))
    assert service.app[keys.MODELS].trial is None
    await service.app[keys.JUDGE].look()
    newest = next(registry.history())
    assert (newest.action, newest.why.startswith("cannot be loaded: price.npy")) == ("stop", True)


async def test_a_shared_registry_that_is_away_keeps_no_harm_going(
    start: Start, home: Path, registry: Registry, tmp_path: Path
) -> None:
    """What must end ends in this home at least, and the record says so."""
    second = write_bundle(home / "models", small_parts(31))
    canary = Canary.begun(second, 1, 0.5, automatic=True)
    registry.start_canary(canary)
    nowhere = tmp_path / "file"
    nowhere.write_bytes(b"")
    service = await start(**declared(home), CUVEE_REGISTRY=str(nowhere))
    await service.app[keys.MODEL_MOVES].stop_canary(canary, "harm", "judge@here")
    assert registry.canary() is None
    assert next(registry.history()).why.startswith("harm; in this home alone: ")


def tried_in_two_homes(
    registry: Registry, tmp_path: Path
) -> tuple[SharedRegistry, SharedRegistry, Canary]:
    """Begin a trial that another home follows; return what both move, and the trial."""
    other = Registry(tmp_path / "other")
    here, there = (
        SharedRegistry(Directory(tmp_path / "shared"), each) for each in (registry, other)
    )
    here.promote(str(registry.production()))
    second = write_bundle(registry.directory, small_parts(31))
    canary = here.start_canary(Canary.begun(second, 1, 0.01, automatic=True))
    there.follow()
    return here, there, canary


async def test_a_trial_that_ended_in_this_home_alone_is_not_told_as_over(
    start: Start, home: Path, registry: Registry, tmp_path: Path
) -> None:
    """Another home took the next step, which this one has not followed yet: it goes on there."""
    here, there, canary = tried_in_two_homes(registry, tmp_path)
    service = await start(**declared(home), CUVEE_REGISTRY=str(tmp_path / "shared"))
    later = canary.moved_to(2, 0.05)
    there.move_canary(canary, later)
    status, told = await admin(service, "/v1/models/canary/stop")
    over = f"in this home alone: step {canary.key} is over; {later.key} is on"
    assert (status, over in told["detail"]) == (503, True)
    assert (registry.canary(), here.canary()) == (None, later)
    here.follow()
    assert (await admin(service, "/v1/models/canary/stop"))[0] == 200
    assert (registry.canary(), here.canary()) == (None, None)


async def test_a_trial_that_another_home_ended_is_told_as_over(
    start: Start, home: Path, registry: Registry, tmp_path: Path
) -> None:
    """It ends in no home alone, and nobody need ask again."""
    _, there, canary = tried_in_two_homes(registry, tmp_path)
    service = await start(**declared(home), CUVEE_REGISTRY=str(tmp_path / "shared"))
    there.move_canary(canary, None)
    status, told = await admin(service, "/v1/models/canary/stop")
    over = f"the trial of step {canary.key} is over; no model is on trial"
    assert (status, told["detail"]) == (409, over)
    assert registry.canary() is None
    assert "alone" not in next(registry.history()).why


async def test_a_trial_that_ended_in_all_homes_is_told_as_over_on_a_full_disk(
    start: Start, home: Path, registry: Registry, tmp_path: Path
) -> None:
    """A home that cannot follow ends it by itself."""
    shared = SharedRegistry(Directory(tmp_path / "shared"), registry)
    shared.promote(str(registry.production()))
    second = write_bundle(home / "models", small_parts(31))
    shared.start_canary(Canary.begun(second, 1, 0.01, automatic=True))
    service = await start(**declared(home), CUVEE_REGISTRY=str(tmp_path / "shared"))
    (home / "models" / "history" / ".lock").unlink()
    (home / "models" / "history" / ".lock").mkdir()
    assert (await admin(service, "/v1/models/canary/stop"))[0] == 200
    assert (registry.canary(), shared.canary()) == (None, None)


async def test_much_harm_ends_a_trial_in_all_homes(
    start: Start, home: Path, registry: Registry, tmp_path: Path
) -> None:
    """A reason that is longer than an admin's may be is cut, not refused."""
    shared = SharedRegistry(Directory(tmp_path / "shared"), registry)
    shared.promote(str(registry.production()))
    second = write_bundle(home / "models", small_parts(31))
    canary = shared.start_canary(Canary.begun(second, 1, 0.5, automatic=True))
    service = await start(**declared(home), CUVEE_REGISTRY=str(tmp_path / "shared"))
    harm = "fallbacks: 0.5012 of the canary, 0.0242 of the control\n" * 20
    await service.app[keys.MODEL_MOVES].stop_canary(canary, harm, "judge@here")
    assert (shared.canary(), registry.canary()) == (None, None)
    why = next(shared.history()).why
    assert (why[:10], why[-1], len(why)) == ("fallbacks:", "…", 400)
