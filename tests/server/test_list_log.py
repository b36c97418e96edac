"""The log of served lists: every answer, bounded, and never in an answer's way."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from features.computation.point_in_time import known_at
from features.declared import FEATURE_SET
from features.eventlog import NO_RECORDS
from features.ids import stable_hash
from features.lists import spool
from features.lists.carrier import Carried, Carrier
from features.lists.line import parse
from features.moments import Moment
from features.offline.store import OfflineStore
from features.online.embedded import EmbeddedValkey
from features.online.valkey_store import ValkeyStore
from features.skew import served
from features.stream.archive import Archive
from features.stream.event_stream import EventStream, Group
from models.canary import Assignment, Canary
from models.canary_counts import CanaryCounter
from models.model import Model
from models.parts import Floats
from models.request import RankRequest
from models.rollout import Shadow
from monitoring.labels import Page, Source
from monitoring.metrics import Metrics
from server import keys
from server.answer import Answer
from server.list_log import MOST_WAITING, ListLog
from server.trial import Trial
from tests.support.bundles import small_parts
from tests.support.histories import clicks
from tests.support.listed import MOST_BYTES
from tests.support.service import Client, Start, ask, event, send

CANARY_OF_A_QUARTER = Canary.begun("v2", 1, 0.25, automatic=True)
ANSWER = Answer(b"[]", Source.MODEL, "v2", page=Page.HOME)
BODY = (
    b'{"recommendation_id":"r","user_id":"u","items":[],"next_cursor":null,"source":"model",'
    b'"reason":null,"model_version":"v2","segment":null}'
)


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """Return one store: nothing of the log is in it."""
    return valkey.url


def rows(home: Path) -> list[dict[str, Any]]:
    """Return what whole segments say."""
    told = [
        parse(line)
        for segment in spool.whole_segments(home)
        for line in segment.path.read_bytes().splitlines()
    ]
    return [cast("dict[str, Any]", each) for each in told]


def logged(
    home: Path, note: Callable[[ListLog], None], most_bytes: int = MOST_BYTES
) -> tuple[list[dict[str, Any]], int]:
    """Return what a log wrote of what it was told, and how many it dropped."""
    dropped: list[int] = []
    lists = ListLog(home, most_bytes, dropped.append)
    lists.start()
    note(lists)
    lists.stop()
    return rows(home), sum(dropped)


def trial(home: Path, share: float) -> Trial:
    """Return a trial of v2, past its step beside."""
    canary = Canary.begun("v2", 1, share, automatic=True)
    counter, metrics = CanaryCounter(home, canary), Metrics(CollectorRegistry())
    return Trial(canary, cast("Model", None), counter, metrics, Shadow(1, 1.0, 1.0, 0.0))


async def asked_until_cached(service: Client, user_id: str, **fields: Any) -> list[dict[str, Any]]:
    """Return the answers to one request until the last is from the cache."""
    told = [await ask(service, user_id, **fields)]
    async with asyncio.timeout(20):
        while told[-1]["source"] != "cache":
            told.append(await ask(service, user_id, **fields))
    return told


async def test_every_answer_is_in_the_table(start: Start, home: Path) -> None:
    """As it was sent: of the model, from the cache, of a stranger, and page after page."""
    service: Client = await start(CUVEE_FEATURE_LOG_SHARE="1")
    await send(service, event("ann", "wine-0003"))
    told = await asked_until_cached(service, "ann", k=3, context={"page": "home"})
    first, cached = told[0], told[-1]
    second = await ask(service, "ann", k=3, cursor=first["next_cursor"])
    stranger = await ask(service, "nobody", k=5)
    told += second, stranger
    refused = await service.post("/v1/recommendations", json={"user_id": 7})
    assert refused.status == 422
    await service.close()

    store = OfflineStore(home)
    assert Carrier(store).carry() == Carried(len(told))
    kept = {row["recommendation_id"]: row for row in store.served().collect().to_dicts()}
    for each in told:
        row = kept[each["recommendation_id"]]
        assert row["items"] == [item["item_id"] for item in each["items"]]
        assert row["scores"] == pytest.approx([item["score"] for item in each["items"]], rel=1e-6)
        assert row["reasons"] == [item["reason"] for item in each["items"]]
        for name in ("user_id", "source", "reason", "model_version", "segment"):
            assert row[name] == each[name]
        assert (row["variant"], row["propensities"]) == (None, None)
    rows = [kept[each["recommendation_id"]] for each in (first, cached, second, stranger)]
    assert [row["source"] for row in rows] == ["model", "cache", "model", "global"]
    assert [row["after"] for row in rows] == [0, 0, 3, 0]
    assert [row["page"] for row in rows] == ["home", "home", "other", "other"]
    used = {each.recommendation_id: each for each in served.read(home, 0, 1 << 60)}
    assert used.keys() == {each["recommendation_id"] for each in told if each["source"] == "model"}
    for list_id, row in kept.items():
        if (sampled := used.get(list_id)) is None:
            assert (row["features"], row["features_schema"], row["as_of"]) == (None, None, None)
        else:
            assert (row["features"], row["features_schema"]) == (sampled.values, sampled.schema)


async def test_features_are_those_that_the_tables_say(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, as of the moment that is told; and nobody keeps them when they are written.

    The list from the cache tells none: what was computed for it was for another moment.
    """
    alive = list[weakref.ref[Floats]]()
    note = ListLog.note

    def noting(lists: ListLog, body: bytes, answer: Answer, *words: Any) -> None:
        if answer.used is not None:
            alive.append(weakref.ref(answer.used.used.values))
        note(lists, body, answer, *words)

    monkeypatch.setattr(ListLog, "note", noting)
    service: Client = await start()
    for number, user in enumerate(("ann", "ben", "ann")):
        await send(service, event(user, f"wine-000{number}"))
        await asyncio.sleep(0.002)
        assert (await ask(service, user))["source"] == "model"
    await asked_until_cached(service, "ann")
    await ask(service, "nobody")
    assert len(alive) >= 3
    async with asyncio.timeout(20):
        while any(each() is not None for each in alive):
            await asyncio.sleep(0.05)
            gc.collect()

    store = OfflineStore(home)
    online = service.app[keys.STORE]
    assert isinstance(online, ValkeyStore)
    stream = EventStream(online.client, Group.OFFLINE, "one")
    await stream.join()
    await Archive(online, store).take((await stream.read(100, 10)).entries)
    await service.close()
    Carrier(store).carry()
    events, rows = store.event_log(), store.served().sort("served_at").collect().to_dicts()
    ranked = [row for row in rows if row["features"] is not None]
    assert [row["source"] for row in rows if row["features"] is None] == ["cache", "global"]
    assert len(ranked) == len(alive)
    whose = [events.user_ids.index(row["user_id"]) for row in ranked]
    moments = [Moment(round(row["as_of"].timestamp() * 1_000)) for row in ranked]
    expected = known_at(events, whose, moments).vectors()
    values = np.where(expected.missing, np.float32("nan"), expected.values)
    told = np.array([row["features"] for row in ranked], np.float32)  # None becomes NaN
    assert told.view(np.uint32).tolist() == values.view(np.uint32).tolist()
    assert len({*map(tuple, told[:, ~expected.missing.any(axis=0)].tolist())}) >= 2
    assert {row["features_schema"] for row in ranked} == {FEATURE_SET.schema_hash}


@pytest.mark.parametrize("is_ranked", [True, False])
def test_each_of_a_run_has_its_own_features(tmp_path: Path, *, is_ranked: bool) -> None:
    """Those of the row that is theirs; by a model without a ranker nobody has any."""
    model = Model(small_parts(ranked=is_ranked))
    moments = [Moment(1_000 + n, "FR") for n in range(3)]
    batch = model.batch(
        [RankRequest(f"u{n}", clicks(n + 1), NO_RECORDS, each, 3) for n, each in enumerate(moments)]
    )
    rankings = model.rank(batch)

    def note(lists: ListLog) -> None:
        for each in rankings:
            lists.note(BODY, ANSWER._replace(used=each.used), "u", None, None)

    told, dropped = logged(tmp_path, note)
    assert (len(told), dropped) == (3, 0)
    if not is_ranked:
        assert [row["features"] for row in told] == [None] * 3
        return
    assert batch.used is not None
    features = np.array([row["features"] for row in told], np.float32)  # None becomes NaN
    assert np.array_equal(features, batch.used.values, equal_nan=True)
    assert len({*map(str, (row["features"] for row in told))}) == 3
    assert [row["as_of"] for row in told] == [1_000 * each.as_of_ms for each in moments]


async def test_chances_are_told(start: Start, home: Path) -> None:
    """Where something was left to chance each item has its propensity, from the cache too."""
    rules = home / "rules.yaml"
    rules.write_text("pages: {basket: {explore: {share: 0.5, met_below: 1000000}}}\n")
    service: Client = await start(CUVEE_RULES=str(rules))
    await send(service, event("ann", "wine-0003"))
    await asked_until_cached(service, "ann", k=6, context={"page": "basket"})
    await service.close()
    made, *_, cached = rows(home)
    assert (made["source"], cached["source"]) == ("model", "cache")
    assert len(made["propensities"]) == len(made["items"]) == 6
    assert 0 < min(made["propensities"]) < 1
    assert cached["propensities"] == pytest.approx(made["propensities"])


@pytest.mark.parametrize(
    ("share", "is_inside", "version", "source", "variant"),
    [
        (None, True, "v2", Source.MODEL, None),
        (0.0, False, "v1", Source.MODEL, None),
        (0.25, True, "v2", Source.MODEL, "canary"),
        (0.25, True, "v2", Source.GLOBAL, "canary"),
        (0.25, False, "v1", Source.SEGMENT, "control"),
        (0.25, True, "v1", Source.MODEL, None),
        (0.25, False, "v2", Source.MODEL, None),
    ],
)
def test_the_arm_of_the_shopper(
    tmp_path: Path,
    share: float | None,
    is_inside: bool,
    version: str,
    source: Source,
    variant: str | None,
) -> None:
    """From whichever rung, and neither's where the answer is not of the model that is theirs."""
    on_trial = None if share is None else trial(tmp_path, share)
    has = Assignment(CANARY_OF_A_QUARTER).has
    user_id = next(user for user in map(str, range(99)) if has(stable_hash(user)) is is_inside)
    answer = ANSWER._replace(model_version=version, source=source)
    (row,), dropped = logged(
        tmp_path, lambda lists: lists.note(BODY, answer, user_id, None, on_trial)
    )
    assert (row["variant"], dropped) == (variant, 0)


def test_no_room_drops_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a disk that hangs; what was kept is written when it goes on."""
    entered, release = threading.Event(), threading.Event()
    write = spool.SegmentWriter.write

    def hang(*words: Any) -> None:
        entered.set()
        release.wait(30)
        write(*words)

    monkeypatch.setattr(spool.SegmentWriter, "write", hang)

    def note(lists: ListLog) -> None:
        lists.note(BODY, ANSWER, "u", None, None)
        assert entered.wait(10)
        for _ in range(MOST_WAITING + 7):
            lists.note(BODY, ANSWER, "u", None, None)
        release.set()

    told, dropped = logged(tmp_path, note)
    assert (len(told), dropped) == (1 + MOST_WAITING, 7)


def test_a_disk_that_refuses_costs_the_log_only(tmp_path: Path) -> None:
    """What it did not take is counted, and a line that cannot be made as well."""
    (tmp_path / spool.FOLDER).write_text("in the way")
    assert logged(tmp_path, lambda lists: lists.note(BODY, ANSWER, "u", None, None)) == ([], 1)
    (tmp_path / spool.FOLDER).unlink()
    bad = ANSWER._replace(propensities=("high", object()))  # type: ignore[arg-type]
    assert logged(tmp_path, lambda lists: lists.note(BODY, bad, "u", None, None)) == ([], 1)
    assert len(logged(tmp_path, lambda lists: lists.note(BODY, ANSWER, "u", None, None))[0]) == 1


def test_segments_that_nobody_carries_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest make room for the latest."""
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 1)

    def note(lists: ListLog) -> None:
        for _ in range(3):
            lists.note(BODY, ANSWER, "u", None, None)

    assert logged(tmp_path, note, most_bytes=1) == ([], 3)


def test_off_is_off(tmp_path: Path) -> None:
    """Nothing is written, kept or counted."""
    dropped: list[int] = []
    lists = ListLog(tmp_path, 0, dropped.append)
    lists.start()
    for _ in range(MOST_WAITING + 1):
        lists.note(BODY, ANSWER, "u", None, None)
    lists.stop()
    assert (list(tmp_path.iterdir()), dropped, len(lists._waiting)) == ([], [], 0)
