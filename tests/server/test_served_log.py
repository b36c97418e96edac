"""The log of served features: a sample, bounded, and never in an answer's way."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from features.eventlog import NO_RECORDS
from features.ids import stable_hashes
from features.moments import Moment
from features.offline.store import OfflineStore
from features.online.valkey_store import ValkeyStore
from features.skew import served
from features.skew.served import FOLDER, Served
from features.skew.skew import skew, write_report
from features.stream.archive import Archive
from features.stream.event_stream import EventStream, Group
from models.batch import Batch
from models.model import Model
from models.reference.scores import summary
from models.request import Filters, RankRequest
from models.rules.parse import parse_rules
from monitoring.metrics import Metrics
from server import keys
from server.served_log import MOST_A_SECOND, QUEUE_LENGTH, ServedLog
from server.skew_report import follow_skew
from tests.support.bundles import small_parts
from tests.support.histories import clicks
from tests.support.service import ADMIN, Client, Start, ask, event, ids, send

RULES = """
boosts: [{categories: [Sparkling], factor: 20}]
pins: [{item: wine-0020, position: 1}]
diversity: 0.5
"""


@pytest.fixture
def batch() -> Batch:
    """Return a batch of three shoppers whose features were used."""
    model = Model(small_parts())
    batch = model.batch(
        [RankRequest(f"u{n}", clicks(n + 1), NO_RECORDS, Moment(10**12, "FR"), 3) for n in range(3)]
    )
    model.rank(batch)
    return batch


def written(home: Path) -> list[Served]:
    """Return what was written below `home`."""
    return list(served.read(home, 0, 2**60))


def logged(home: Path, share: float, note: Callable[[ServedLog], None]) -> tuple[list[Served], int]:
    """Return what a log wrote of what it was told, and how many it dropped."""
    dropped: list[int] = []
    log = ServedLog(home, share, dropped.append, clock=lambda: 1_000.5)
    log.start()
    note(log)
    log.stop()
    return written(home), sum(dropped)


def test_what_was_used_is_written(tmp_path: Path, batch: Batch) -> None:
    """Values, None for what was missing, the moment and the clock."""
    told, dropped = logged(tmp_path, 1.0, lambda log: log.note(batch))
    assert [each.user_id for each in told] == ["u0", "u1", "u2"]
    assert batch.used is not None
    for row, each in enumerate(told):
        values = batch.used.values[row]
        assert [None if np.isnan(value) else value for value in values] == each.values
        assert None in each.values
        assert (each.at_ms, each.as_of_ms, each.country) == (1_000_500, 10**12, "FR")
        assert each.home == "FR"
    assert dropped == 0


def test_a_share_of_nothing_is_nothing(tmp_path: Path, batch: Batch) -> None:
    """However many were ranked for."""
    assert logged(tmp_path, 0.0, lambda log: log.note(batch)) == ([], 0)


@pytest.mark.parametrize("ranked", [True, False])
def test_scores_are_those_of_the_ten_best(tmp_path: Path, batch: Batch, ranked: bool) -> None:
    """However many were asked for, and by whichever model; one without a ranker uses no features.

    Who is allowed less than usual has none, nor who cannot be ranked for.
    """
    model = Model(small_parts(ranked=ranked), "v7")
    first = batch.requests[0]
    ten = model.batch([first._replace(k=10)])
    (best,) = model.rank(ten)
    assert best.listed is not None
    few = first._replace(filters=Filters(("Red",)))
    later = first._replace(excluded=stable_hashes(["wine-0009"]))
    nobody = first._replace(user_id="new", recent=NO_RECORDS)
    other = model.batch([first, few, later, nobody])
    model.rank(other)
    told, _ = logged(tmp_path, 1.0, lambda log: log.note(other))
    scores = best.listed.scores
    assert told[0].scores == pytest.approx([np.mean(scores), scores[0] - scores[9]])
    assert [each.scores for each in told[1:]] == ([None] * 3 if ranked else [])
    assert {each.version for each in told} == {"v7"}
    assert all(bool(each.values) == ranked for each in told)


def test_rules_change_no_scores() -> None:
    """They arrange what was ranked: boosts, pins and new items are not the model's doing."""
    requests = [RankRequest("u", clicks(3), NO_RECORDS, Moment(10**12), k) for k in (10, 4)]
    told = []
    for text in ("{}", RULES):
        model = Model(small_parts(40))
        model.follow(parse_rules(text, "test"))
        batch = model.batch(requests)
        lists = [each.listed for each in model.rank(batch)]
        told.append((lists, [batch.scores_of(place) for place in (0, 1)]))
    (plain, usual), (arranged, ruled) = told
    assert [each.rows for each in plain if each] != [each.rows for each in arranged if each]
    for one, other in zip(usual, ruled, strict=True):
        assert one is not None
        assert other is not None
        assert summary(one) == pytest.approx(summary(other))


def test_so_many_a_second(tmp_path: Path, batch: Batch) -> None:
    """However many were ranked for; these are a sample, and none is lost."""

    def note(log: ServedLog) -> None:
        for _ in range(20):
            log.note(batch)

    told, dropped = logged(tmp_path, 1.0, note)
    assert (len(told), dropped) == (MOST_A_SECOND, 0)


def test_a_disk_that_refuses_costs_the_log_only(
    tmp_path: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it did not take is counted, and the next is tried."""
    (tmp_path / FOLDER).write_text("no folder")
    told, dropped = logged(tmp_path / "x", 1.0, lambda log: log.note(batch))
    assert (len(told), dropped) == (3, 0)
    with pytest.raises(OSError, match=FOLDER):
        served.append(tmp_path, "1", told)

    def refuse(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("server.served_log.append", refuse)
    assert logged(tmp_path / "y", 1.0, lambda log: log.note(batch)) == ([], 3)


def test_a_full_queue_drops(tmp_path: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a disk that hangs."""
    entered, release = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        entered.set()
        release.wait(30)

    monkeypatch.setattr("server.served_log.append", hang)
    monkeypatch.setattr("server.served_log.MOST_A_SECOND", 10**9)
    dropped: list[int] = []
    log = ServedLog(tmp_path, 1.0, dropped.append)
    log.start()
    log.note(batch)
    assert entered.wait(10)
    for _ in range(QUEUE_LENGTH):
        log.note(batch)
    assert sum(dropped) >= 2 * QUEUE_LENGTH
    release.set()
    log.stop()


@pytest.mark.parametrize("report", [b"", b"{", b"[]", b'{"ratios": 3}', b'{"ratios": {"x": "y"}}'])
async def test_a_report_that_is_none_changes_nothing(
    tmp_path: Path, report: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next one is told."""
    monkeypatch.setattr("server.skew_report.LOOK_S", 0.01)
    path, registry = tmp_path / "skew.json", CollectorRegistry()
    path.write_bytes(report)
    following = asyncio.ensure_future(follow_skew(path, Metrics(registry)))
    await asyncio.sleep(0.1)
    assert registry.get_sample_value("cuvee_feature_skew_ratio", {"feature": "x"}) is None
    path.write_bytes(b'{"ratios": {"x": 0.25}}')
    async with asyncio.timeout(10):
        while registry.get_sample_value("cuvee_feature_skew_ratio", {"feature": "x"}) != 0.25:
            await asyncio.sleep(0.01)
    following.cancel()


@pytest.mark.slow
async def test_what_a_service_serves_is_what_its_tables_say(start: Start, home: Path) -> None:
    """From answers to the report and to Prometheus, through the real store and tables."""
    service: Client = await start(CUVEE_FEATURE_LOG_SHARE="1", CUVEE_CACHE_TTL_S="0")
    known = ids(await (await service.get("/v1/popular")).json())
    for number in range(6):
        await send(service, event(f"u{number % 2}", known[number]))
        await asyncio.sleep(0.002)
        assert (await ask(service, f"u{number % 2}"))["source"] == "model"
    async with asyncio.timeout(10):
        while len(written(home)) < 6:
            await asyncio.sleep(0.05)

    store = service.app[keys.STORE]
    assert isinstance(store, ValkeyStore)
    stream = EventStream(store.client, Group.OFFLINE, "one")
    await stream.join()
    entries = (await stream.read(100, 10)).entries
    offline = OfflineStore(home)
    await Archive(store, offline).take(entries)
    told = skew(offline, written(home))
    assert (told.rows, told.other_schema) == (6, 0)
    assert {name: ratio for name, ratio in told.ratios.items() if ratio} == {}

    write_report(home, told)
    async with asyncio.timeout(20):
        while 'cuvee_feature_skew_ratio{feature="recent_spend"} 0.0' not in (
            await (await service.get("/metrics", headers=ADMIN)).text()
        ):
            await asyncio.sleep(0.1)
