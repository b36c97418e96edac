"""The monitor: every line counted once, every window judged, whatever breaks in between."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from features.errors import StoreError
from features.online.valkey_client import connect
from features.skew.served import FOLDER
from loadtests.faults.proxy import ChaosProxy
from models.reference.rows import HOUR_MS
from models.reference.scores import SCORES
from models.reference.stored import read_reference
from monitoring.drift import served_lines
from monitoring.drift.counters import Counters
from monitoring.drift.counts import Counts
from monitoring.drift.journal import Journal
from monitoring.drift.metrics import DriftMetrics
from monitoring.drift.monitor import HORIZON, Monitor
from monitoring.drift.policy import parse_policy
from monitoring.drift.reference import references_of
from monitoring.drift.report import Report
from monitoring.drift.watch import WITHOUT_SCORES, Watch
from tests.support.watched import START_MS, WatchedShop, hour

POLICY = parse_policy("least_rows: 100", "test")


class Desk:
    """A shop, its clock, and monitors that are started and forgotten."""

    def __init__(self, home: Path, url: str) -> None:
        """Promote a model at the start of a week."""
        self.shop = WatchedShop(home)
        self.home = home
        self.version = self.shop.promote()
        self.client = connect(url, connections=2)
        self.now_ms = START_MS
        self.journal = io.StringIO()
        self.registry = CollectorRegistry()
        rows = POLICY.watched(read_reference(home / "models" / self.version))
        self.references = references_of(rows, ["country"])
        self.start()

    def start(self, client: Any = None) -> None:
        """Forget the monitor and start another, as if it had been killed."""
        self.registry = CollectorRegistry()
        groups = [each.columns for each in self.references]
        self.counters = Counters(client or self.client, groups, self.version, 100_000)
        self.monitor = Monitor(
            self.home,
            self.version,
            self.references,
            POLICY,
            self.counters,
            DriftMetrics(self.registry),
            Journal(self.journal),
            lambda: self.now_ms / 1_000,
        )

    async def step(self, hours: float) -> dict[str, str]:
        """Look when so many hours have passed since the start; return the states."""
        self.now_ms = START_MS + round(hours * HOUR_MS) + 61_000
        await self.monitor.step()
        return self.states()

    def states(self) -> dict[str, str]:
        """Return the state of each feature as it was left for others."""
        report = Report.read(self.home)
        return {} if report is None else {name: str(f.state) for name, f in report.findings.items()}

    def events(self) -> list[dict[str, Any]]:
        """Return what the journal says."""
        return [json.loads(line) for line in self.journal.getvalue().splitlines()]

    def lines(self, result: str) -> float:
        """Return how many lines were told to be so."""
        return self.registry.get_sample_value("cuvee_drift_lines_total", {"result": result}) or 0

    async def counted(self, number: int) -> Counts:
        """Return what was counted of features in an hour since the start."""
        return (await self.counters.window(START_MS // HOUR_MS + number))[0]


@pytest.fixture
async def desk(tmp_path: Path, redis_url: str) -> AsyncIterator[Desk]:
    """Return a desk over an empty store."""
    desk = Desk(tmp_path, redis_url)
    yield desk
    await desk.client.aclose()


async def test_quiet_hours_and_one_that_is_not(desk: Desk) -> None:
    """A feature that moves is found, with what moved where, and nobody else is."""
    for number in range(3):
        desk.shop.serve("a", hour(number))
        assert set((await desk.step(number + 1)).values()) == {"quiet"}
    desk.shop.serve("a", hour(3), shifts={"recent_spend": 1.0})
    states = await desk.step(4)
    assert [name for name, state in states.items() if state == "drifted"] == ["recent_spend"]
    told = desk.events()[-1]
    assert (told["event"], told["feature"], told["before"]) == ("drifted", "recent_spend", "quiet")
    assert told["effect"] == pytest.approx(0.5, abs=0.15)  # of two hours together
    assert told["moved"][0]["label"].startswith("up to")
    report = Report.read(desk.home)
    assert report is not None
    assert report.rows == 300
    assert sum(each.now for each in report.columns["recent_spend"].bins) == pytest.approx(1)
    assert len(report.columns["recent_spend"].bins) <= 13
    state = desk.registry.get_sample_value("cuvee_drift_state", {"feature": "recent_spend"})
    assert state == 2


@pytest.mark.parametrize(
    ("scores", "drifted"),
    [
        ((1.6, 0.0), {"scores.level", "scores.spread"}),  # inflated
        ((0.0, 3.0), {"scores.level", "scores.spread"}),  # all alike: where, and how wide
        ((1.0, 0.02), set()),
    ],
)
async def test_scores_that_move_are_named(
    desk: Desk, scores: tuple[float, float], drifted: set[str]
) -> None:
    """And no feature is; a little more than usual is nothing."""
    desk.shop.serve("a", hour(0))
    assert set((await desk.step(1)).values()) == {"quiet"}
    for number in (1, 2):
        desk.shop.serve("a", hour(number), scores=scores)
        await desk.step(number + 1)
    states = desk.states()
    assert {name for name, state in states.items() if state == "drifted"} == drifted
    told = [each["feature"] for each in desk.events() if each["event"] == "drifted"]
    assert sorted(told) == sorted(drifted)
    for name in drifted:
        assert desk.registry.get_sample_value("cuvee_drift_state", {"feature": name}) == 2


async def test_scores_of_another_version_are_judged_by_its_own_reference(desk: Desk) -> None:
    """What the model before scored says nothing of this one, whatever it was."""
    for number in range(3):
        desk.shop.serve("a", hour(number), version="the one before", scores=(9.0, 50.0))
        await desk.step(number + 1)
    states = desk.states()
    assert {name for name, state in states.items() if state == "insufficient"} == set(SCORES)
    assert {states[name] for name in states.keys() - set(SCORES)} == {"quiet"}
    desk.shop.serve("a", hour(3), 150)
    desk.shop.serve("a", hour(3), 150, version="the one before", scores=(9.0, 50.0))
    assert set((await desk.step(4)).values()) == {"quiet"}
    features, scores = await desk.counters.window(START_MS // HOUR_MS + 3)
    assert (features.rows, scores.rows) == (300, 150)


async def test_scores_of_a_model_without_features(desk: Desk) -> None:
    """One whose candidates nothing orders uses none: its scores are watched all the same."""
    for number in range(2):
        desk.shop.serve("a", hour(number), plain=False, scores=(1.0, 1.0))
        await desk.step(number + 1)
    states = desk.states()
    assert states.pop("scores.level") == states.pop("scores.spread") == "drifted"
    assert set(states.values()) == {"insufficient"}
    report = Report.read(desk.home)
    assert report is not None
    assert report.rows == 300


async def test_a_model_without_a_reference_of_scores(tmp_path: Path, redis_url: str) -> None:
    """One of an earlier version: that its scores are not watched is said, its features are."""
    shop, journal, registry = WatchedShop(tmp_path), io.StringIO(), CollectorRegistry()
    version = shop.promote(with_scores=False)
    client = connect(redis_url, connections=2)
    watch = Watch(tmp_path, POLICY, client, DriftMetrics(registry), Journal(journal))
    await watch.step()
    told = [json.loads(line) for line in journal.getvalue().splitlines()]
    assert [each["event"] for each in told] == ["scores are not watched", "watching"]
    assert (told[0]["reason"], told[0]["version"]) == (WITHOUT_SCORES, version)
    report = Report.read(tmp_path)
    assert report is not None
    assert not report.scores
    assert "recent_spend" in report.columns
    assert registry.get_sample_value("cuvee_drift_watching_scores") == 0
    assert registry.get_sample_value("cuvee_drift_watching") == 1
    shop.promote()
    await watch.step()
    assert registry.get_sample_value("cuvee_drift_watching_scores") == 1
    report = Report.read(tmp_path)
    assert report is not None
    assert report.scores
    await watch.close()


@pytest.mark.parametrize(
    ("shifts", "home", "feature", "label"),
    [
        ({"recent_spend": None}, "", "recent_spend", "missing"),
        ({"age": 1.0}, "", "age", "above 1"),
        ({}, "XX", "country", "new"),
        ({}, None, "country", "missing"),
    ],
)
async def test_what_was_never_seen(
    desk: Desk, shifts: dict[str, float | None], home: str | None, feature: str, label: str
) -> None:
    """A feature that vanishes, a constant that is another, a new country, none at all."""
    desk.shop.serve("a", hour(0))
    await desk.step(1)
    desk.shop.serve("a", hour(1), shifts=shifts, home=home)
    states = await desk.step(2)
    assert [name for name, state in states.items() if state == "drifted"] == [feature]
    report = Report.read(desk.home)
    assert report is not None
    assert label in {each.label for each in report.columns[feature].moved(4)}


async def test_no_traffic_changes_nothing(desk: Desk) -> None:
    """Hours without rows are judged, and say that they say nothing; drift stays drift."""
    assert set((await desk.step(0)).values()) == {"insufficient"}
    desk.shop.serve("a", hour(0), shifts={"recent_spend": 3.0})
    await desk.step(1)
    states = await desk.step(30)
    assert states.pop("recent_spend") == "drifted"
    assert set(states.values()) == {"insufficient"}


async def test_killed_at_any_moment(desk: Desk) -> None:
    """A monitor that dies after any part, or before it wrote, counts each line once."""
    for log in "abc":
        desk.shop.serve(log, hour(0), 100)
    desk.now_ms = hour(0)
    await desk.monitor.step()
    desk.start()
    await desk.monitor.step()
    desk.shop.serve("a", hour(0), 50)
    desk.start()
    assert set((await desk.step(1)).values()) == {"quiet"}
    assert (await desk.counted(0)).rows == 350
    (desk.home / "drift" / "findings.json").unlink()  # died before it was written
    desk.start()
    assert set((await desk.step(1)).values()) == {"quiet"}
    assert (await desk.counted(0)).rows == 350


async def test_it_goes_on_from_what_was_found(desk: Desk) -> None:
    """A second look after a restart is the second, and drift is not told twice."""
    desk.shop.serve("a", hour(0), shifts={"recent_spend": 1.0})
    await desk.step(1)
    told = len(desk.events())
    desk.start()
    desk.shop.serve("a", hour(1), shifts={"recent_spend": 1.0})
    assert (await desk.step(2))["recent_spend"] == "drifted"
    assert len(desk.events()) == told


async def test_a_store_that_comes_back_empty_is_filled_again(desk: Desk, redis_url: str) -> None:
    """From the logs, for all hours that are still of use."""
    for number in range(3):
        desk.shop.serve("a", hour(number), 120)
        await desk.step(number + 1)
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
    await desk.step(3.1)
    assert [(await desk.counted(number)).rows for number in range(4)] == [120, 120, 120, 0]


async def test_an_answer_that_is_lost_is_no_second_count(desk: Desk) -> None:
    """The store did it and the monitor does not know: what is added again is not."""
    desk.shop.serve("a", hour(0), 80)
    told = list(served_lines.unread(desk.home, 0, {}))
    rows = served_lines.rows_of(told[0].lines, desk.version).rows
    counts = {START_MS // HOUR_MS: tuple(Counts.of(each.columns, rows) for each in desk.references)}
    assert await desk.counters.add("log", 0, told[0].end, counts)
    assert not await desk.counters.add("log", 0, told[0].end, counts)
    assert (await desk.counted(0)).rows == 80
    assert await desk.counters.positions() == {"log": told[0].end}


async def test_two_monitors_add_up(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Homes that share a store and a model are judged together."""
    other = WatchedShop(tmp_path_factory.mktemp("other"), seed=9)
    desk.shop.serve("a", hour(0), 70)
    other.serve("a", hour(0), 90)
    desk.now_ms = hour(0)
    await desk.monitor.step()
    first, desk.home = desk.home, other.home
    desk.start()
    await desk.monitor.step()
    assert first != desk.home
    assert (await desk.counted(0)).rows == 160


async def test_a_store_that_is_down_loses_nothing(desk: Desk, redis_url: str) -> None:
    """While it is away there is an error, and afterwards every line is counted, once."""
    upstream = Path(redis_url.removeprefix("unix://").partition("?")[0])
    async with ChaosProxy(upstream, desk.home / "proxy") as proxy:
        client = connect(proxy.url, connections=2)
        desk.start(client)
        desk.shop.serve("a", hour(0), 120)
        proxy.lose = 2  # the positions, then the answer to what was counted
        desk.now_ms = hour(0)
        for _ in range(2):
            with pytest.raises(StoreError):
                await desk.monitor.step()
        proxy.hang_up = True
        proxy.drop()
        desk.shop.serve("a", hour(0), 30)
        with pytest.raises(StoreError):
            await desk.step(1)
        proxy.hang_up = False
        await desk.step(1)
        assert (await desk.counted(0)).rows == 150
        await client.aclose()


async def test_the_clock_goes_back(desk: Desk) -> None:
    """What was judged of the future is forgotten, and the present is looked at again."""
    desk.shop.serve("a", hour(0), 120)
    await desk.step(1)
    desk.shop.serve("a", hour(40), 120)  # the clocks of all went ahead
    await desk.step(41)
    assert (await desk.counted(40)).rows == 120
    desk.shop.serve("a", hour(1), 130)
    await desk.step(2)
    assert desk.events()[-1]["event"] == "clock went back"
    assert (await desk.counted(40)).rows == 0
    assert (await desk.counted(1)).rows == 130
    report = Report.read(desk.home)
    assert report is not None
    assert (report.window, report.rows) == (START_MS // HOUR_MS + 1, 130)


async def test_lines_that_are_none_or_of_another_time(desk: Desk) -> None:
    """Are counted as what they are, and harm nothing."""
    desk.now_ms = hour(HORIZON + 2)
    desk.shop.serve("a", hour(0), 5)
    desk.shop.serve("a", hour(HORIZON + 9), 4)
    lines = desk.shop.serve("a", hour(HORIZON), 3)
    desk.shop.append("a", b"no json\n" + lines[0].replace(b'"schema":"', b'"schema":"x'))
    desk.shop.append("a", lines[0][:-20])  # still being written
    await desk.monitor.step()
    results = ("counted", "late", "ahead", "strange", "unreadable")
    assert [desk.lines(each) for each in results] == [3, 5, 4, 1, 1]
    desk.shop.append("a", lines[0][-20:])
    await desk.monitor.step()
    assert desk.lines("counted") == 4


async def test_scores_that_are_none_are_left_out(desk: Desk) -> None:
    """What is no pair of numbers, or was written by an earlier version; features count."""
    (line,) = desk.shop.serve("a", hour(0), 1)
    told = json.loads(line)
    for other in ([], [1, 2, 3], ["x", 1], [None, 1], 7):
        desk.shop.append("a", json.dumps({**told, "scores": other}).encode() + b"\n")
    del told["scores"], told["version"]
    desk.shop.append("a", json.dumps(told).encode() + b"\n")
    desk.now_ms = hour(0)
    await desk.monitor.step()
    features, scores = await desk.counters.window(START_MS // HOUR_MS)
    assert (features.rows, scores.rows) == (7, 1)


async def test_logs_are_read_in_parts_and_forgotten_when_gone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long they are; a line without an end is passed over."""
    monkeypatch.setattr(served_lines, "PART_BYTES", 2_000)
    desk.shop.serve("a", hour(0), 100)
    desk.shop.append("b", b"x" * 5_000 + b"\n")
    desk.now_ms = hour(0)
    await desk.monitor.step()
    assert (await desk.counted(0)).rows == 100
    assert len(await desk.counters.positions()) == 2
    (desk.home / FOLDER / "a.jsonl").unlink()
    await desk.monitor.step()
    assert [each[-7:] for each in await desk.counters.positions()] == ["b.jsonl"]


async def test_a_million_rows_in_a_window(desk: Desk) -> None:
    """Are counted and judged as a thousand are."""
    rows = desk.shop.serve("a", hour(0), 1_000)
    told = served_lines.rows_of(tuple(rows), desk.version).rows
    many = told.take(np.tile(np.arange(1_000), 1_000))
    counts = tuple(Counts.of(each.columns, many) for each in desk.references)
    await desk.counters.add("other", 0, 1, {START_MS // HOUR_MS: counts})
    await desk.step(1)
    assert (await desk.counted(0)).rows == 1_001_000
    report = Report.read(desk.home)
    assert report is not None
    assert report.rows == 1_001_000
    assert all(0 <= each.effect < 0.15 for each in report.findings.values())


async def test_findings_that_cannot_be_read_are_none(desk: Desk) -> None:
    """A file of something else is no error."""
    (desk.home / "drift" / "findings.json").write_text('{"version": 3}')
    assert Report.read(desk.home) is None
    desk.start()
    desk.shop.serve("a", hour(0), 120)
    assert set((await desk.step(1)).values()) == {"quiet"}
