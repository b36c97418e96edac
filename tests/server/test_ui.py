"""The page's files and its state: locked down, bounded, made once a second, and for whom."""

import asyncio
import os
import re
import shutil
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse

from features.errors import StoreError
from features.online.keys import DEAD_LETTERS
from features.online.store import NullStore
from features.online.valkey_store import ValkeyStore
from features.stream.event_stream import EventStream, Group
from models.bundle import write_bundle
from models.canary import Canary
from models.reference.scores import SCORES
from models.registry import Registry
from monitoring.drift import report
from monitoring.realtime import RealTimeMonitor
from server import keys
from server.app import build_app
from server.settings import Settings
from server.ui.drift_part import DRIFT_FINDINGS, MOST_BINS, MOST_FEATURES, drift_part
from server.ui.files import DIRECTORY
from server.ui.kept import Kept
from server.ui.model_part import model_part
from server.ui.performance_part import MOST_FIGURES, PERFORMANCE_FINDINGS, performance_part
from server.ui.shared_answer import SharedAnswer
from tests.support.named import HARM, UNNAMED, named_parts
from tests.support.service import ADMIN, Client, Start, ask, event, send
from tests.support.shown import (
    DRIFTED,
    NOTE,
    ONE_BIN,
    WHY,
    WORSE,
    find_drift,
    leave_performance,
    move_models,
)

SPARE_BYTES = 64 * 1024
"""What the whole page may weigh."""


@pytest.fixture(scope="module")
def model_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with a model whose items have names; only to copy."""
    home = tmp_path_factory.mktemp("named")
    Registry(home).promote(write_bundle(home / "models", named_parts()))
    return home


@pytest.fixture
def named_home(model_home: Path, tmp_path: Path) -> Path:
    """Return a home with a model whose items have names."""
    shutil.copytree(model_home, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Return a home in which two models were promoted and one is back, only to copy; and both."""
    home = tmp_path_factory.mktemp("moved")
    return home, *move_models(home)


@pytest.fixture
def open_page(aiohttp_client: Any) -> Any:
    """Return a function that starts a service without a store over a home."""

    async def opened(home: Path, **variables: str) -> Client:
        told = {"CUVEE_HOME": str(home), "CUVEE_ADMIN_TOKEN": "secret", **variables}
        client: Client = await aiohttp_client(
            build_app(Settings.from_environment(told), store=NullStore())
        )
        return client

    return opened


@pytest.fixture
async def seen(open_page: Any, named_home: Path) -> Client:
    """Return a client of a service without a store."""
    client: Client = await open_page(named_home)
    return client


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep no state for a second."""
    monkeypatch.setattr("server.ui.shared_answer.KEPT_S", 0.0)


async def state(client: Client, **headers: str) -> dict[str, Any]:
    """Return what the page shows."""
    answer = await client.get("/ui/state", headers=headers)
    assert answer.status == 200, await answer.text()
    told: dict[str, Any] = await answer.json()
    return told


class Markup(HTMLParser):
    """Notes what a page fetches, and what in it would run without a file of its own."""

    def __init__(self, text: str) -> None:
        """Read the text of a page."""
        super().__init__()
        self.fetched: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what matters of a tag."""
        told = dict(attrs)
        if tag in ("script", "link"):
            self.fetched.append(told.get("src") or told.get("href") or "inline")
        self.inline += [name for name in told if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" else []


def locked(answer: ClientResponse) -> bool:
    """Tell whether a browser is told to run and show nothing but ours, and to whom."""
    policy = answer.headers["Content-Security-Policy"].split("; ")
    return (
        {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
        and "unsafe" not in str(policy)
        and "*" not in str(policy)
        and answer.headers["X-Content-Type-Options"] == "nosniff"
    )


async def test_the_page_stands_alone(seen: Client) -> None:
    """It is made of its own files, of all of them, and of little; nothing in it runs inline."""
    answer = await seen.get("/ui")
    assert answer.content_type == "text/html"
    assert locked(answer)
    assert answer.headers["X-Frame-Options"] == "DENY"
    markup = Markup(text := await answer.text())
    assert markup.inline == []
    wanted = [each.removeprefix("ui/page/") for each in markup.fetched]
    weight, met = len(text.encode()), set[str]()
    while wanted:
        name = wanted.pop()
        if name in met:
            continue
        met.add(name)
        answer = await seen.get(f"/ui/page/{name}")
        assert (answer.status, locked(answer)) == (200, True), name
        content = await answer.text()
        weight += len(content.encode())
        assert set(re.findall(r"https?://[\w.]+", content)) <= {"http://www.w3.org"}
        wanted += re.findall(r'from "\./([\w.]+)"', content)
    assert met | {"index.html"} == {each.name for each in DIRECTORY.iterdir()}
    assert weight < SPARE_BYTES


async def test_types_are_what_browsers_demand(seen: Client) -> None:
    """With nosniff a script of another type does not run."""
    told = {
        name: (await seen.get(f"/ui/page/{name}")).content_type
        for name in ("main.js", "style.css", "icon.svg")
    }
    assert list(told.values()) == ["text/javascript", "text/css", "image/svg+xml"]


async def test_nothing_else_can_be_fetched(seen: Client) -> None:
    """No path leads out of the page's own files."""
    for name in ("nothing.js", "..%2Fstate.py", "%2e%2e/state.py", "__init__.py"):
        url = seen.make_url("/").with_path(f"/ui/page/{name}", encoded=True)
        assert (await seen.session.get(url)).status == 404, name


async def test_it_can_be_turned_off(open_page: Any, named_home: Path) -> None:
    """Then nothing of it is there, token or not."""
    client = await open_page(named_home, CUVEE_UI="off")
    for path in ("/ui", "/ui/state", "/ui/page/main.js"):
        answer = await client.get(path, headers=ADMIN)
        assert (answer.status, "CUVEE_UI" in await answer.text()) == (404, True)
    assert (await client.post("/ui/names", json={"item_ids": []})).status == 404


async def test_what_anybody_may_see(seen: Client) -> None:
    """The minute in figures, and nothing that names a shopper, a person or a reason."""
    await ask(seen, "a certain shopper")
    told = await state(seen)
    assert set(told) == {"at", "admin", "service", "events", "window"}
    assert told["admin"] == "closed"
    assert told["window"]["request_count"] == 1
    assert told["window"]["sources"]["global"] == 1
    assert len(told["window"]["seconds"]["p95_ms"]) == 60
    assert told["events"] == {"store": "none"}
    assert "a certain shopper" not in str(told)


async def test_what_admins_may_see(seen: Client) -> None:
    """Models, findings and ids to try, with the token alone; nothing of it is to be kept."""
    told = await state(seen, **ADMIN)
    assert told["admin"] == "open"
    assert told["models"]["aliases"]["production"] == told["service"]["model_version"]
    assert told["drift"] is None
    assert told["performance"] is None
    assert told["shoppers"] == ["amélie"]
    wrong = await seen.get("/ui/state", headers={"Authorization": "Bearer wrong"})
    assert wrong.status == 403
    answer = await seen.get("/ui/state", headers=ADMIN)
    assert locked(answer)
    assert answer.headers["Cache-Control"] == "no-store"


async def test_without_a_token_there_are_no_admins(open_page: Any, named_home: Path) -> None:
    """The page says so, and whoever claims to be one is refused as on every admin route."""
    client = await open_page(named_home, CUVEE_ADMIN_TOKEN="")
    assert (await state(client))["admin"] == "off"
    assert (await client.get("/ui/state", headers=ADMIN)).status == 403


async def test_without_a_model(open_page: Any, tmp_path: Path) -> None:
    """There is a page, and it says what is missing."""
    client = await open_page(tmp_path)
    told = await state(client, **ADMIN)
    assert told["service"]["model_version"] is None
    assert told["service"]["why_none"].startswith("no model yet")
    assert told["models"] is None
    assert (await client.post("/ui/names", json={"item_ids": ["x"]})).status == 503


async def test_it_is_made_beside_the_event_loop(
    seen: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks, requests do not wait for it; ten who look at once are one."""
    threads = []
    minute = RealTimeMonitor.minute

    def noted(monitor: RealTimeMonitor) -> Any:
        threads.append(threading.get_ident())
        return minute(monitor)

    monkeypatch.setattr(RealTimeMonitor, "minute", noted)
    told = await asyncio.gather(*(state(seen) for _ in range(10)))
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
    assert all(each == told[0] for each in told)


class Making:
    """An answer that is made when it is told so."""

    def __init__(self) -> None:
        """Have made nothing."""
        self.now = 100.0
        self.made = 0
        self.go = asyncio.Event()
        self.go.set()
        self.answer = SharedAnswer(self.make, lambda: self.now)

    async def make(self) -> bytes:
        """Return how many were made; the second fails."""
        await self.go.wait()
        self.made += 1
        if self.made == 2:
            raise OSError("the disk")
        return b"%d" % self.made


async def test_an_answer_is_kept_for_a_second() -> None:
    """Then it is made again; one that could not be made is tried again at once."""
    making = Making()
    assert [await making.answer.told() for _ in range(3)] == [b"1"] * 3
    making.now += 0.9
    assert await making.answer.told() == b"1"
    making.now += 0.1
    with pytest.raises(OSError, match="the disk"):
        await making.answer.told()
    assert await making.answer.told() == b"3"


async def test_who_hangs_up_takes_the_answer_from_nobody_else() -> None:
    """What is under way goes on for those who wait for it, too."""
    making = Making()
    making.go.clear()
    first, second = (asyncio.ensure_future(making.answer.told()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    making.go.set()
    assert await second == b"1"
    assert making.made == 1


def test_files_are_read_again_where_they_changed(tmp_path: Path) -> None:
    """Once they have lain for a while; what has just changed may change in the same instant."""
    path, reads = tmp_path / "told.json", []

    def read() -> object:
        reads.append(path)
        return orjson.loads(path.read_bytes())

    kept = Kept((path,), read)
    assert b"FileNotFoundError" in orjson.dumps(kept.json())
    path.write_text('{"a": 1}')
    assert orjson.dumps(kept.json()) == b'{"a":1}'
    assert orjson.dumps(kept.json()) == b'{"a":1}'
    assert len(reads) == 3
    os.utime(path, (1e9, 1e9))
    for _ in range(3):
        kept.json()
    assert len(reads) == 4
    path.write_text("{")
    assert b"unreadable" in orjson.dumps(kept.json())


def test_moves_of_models(moved: tuple[Path, str, str], tmp_path: Path) -> None:
    """The newest first, each about a version, with who and why; the end of a trial, too."""
    home, first, second = moved
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    registry = Registry(tmp_path)
    canary = Canary.begun(second, 1, 0.05, automatic=False)
    registry.start_canary(canary, "a trial")
    registry.move_canary(canary, None, "no better")
    told = model_part(registry)
    assert told is not None
    assert [(each["action"], each["version"], each["why"]) for each in told["history"]] == [
        ("stop", second, "no better"),
        ("canary", second, "a trial"),
        ("rollback", first, WHY[2]),
        ("promote", second, WHY[1]),
        ("promote", first, WHY[0]),
    ]
    assert {each["version"] for each in told["versions"]} == {first, second}
    assert told["versions"][0]["ndcg"] == 0.25
    assert (told["aliases"]["production"], told["canary"]) == (first, None)


@pytest.mark.usefixtures("fresh")
async def test_drift_is_what_the_monitor_left(
    open_page: Any, moved: tuple[Path, str, str], tmp_path: Path
) -> None:
    """What moved most comes first, with its distribution beside the reference."""
    shutil.copytree(moved[0], tmp_path, dirs_exist_ok=True)
    client = await open_page(tmp_path)
    assert (await state(client, **ADMIN))["drift"] is None
    left = find_drift(tmp_path)
    told = drift_part(tmp_path / DRIFT_FINDINGS)
    assert DRIFT_FINDINGS == report.FILE
    assert told is not None
    assert (told["version"], told["rows"], told["ended_ms"]) == (left.version, 300, left.ended_ms)
    assert len(told["features"]) == len(left.columns)
    first = told["features"][0]
    assert (first["name"], first["state"]) == (DRIFTED, "drifted")
    assert told["scores"]
    assert set(SCORES) <= {each["name"] for each in told["features"] if each["state"] == "quiet"}
    assert first["bins"] == [(b.label, b.reference, b.now) for b in left.columns[DRIFTED].bins]
    assert (await state(client, **ADMIN))["drift"]["features"][0]["name"] == DRIFTED


def test_drift_of_many_features_is_bounded(tmp_path: Path) -> None:
    """What moved first is told, and of no more than so many; shares still add up to one."""
    bins = [{"label": f"level {at}", "reference": 0.01, "now": 0.01} for at in range(100)]
    bins[71] |= {"label": "x" * 1_000, "now": 0.1}
    bins[70]["now"] = 0.5
    finding = {"state": "quiet", "q": 1.0, "effect": 0.0, "windows": 2}
    columns = {f"f{at}": {"finding": finding, "bins": bins} for at in range(500)}
    columns["f499"] = {"finding": finding | {"state": "drifted"}, "bins": bins}
    path = tmp_path / "findings.json"
    told = {"version": "v", "window": 7, "window_ms": 1_000, "rows": 5, "columns": columns}
    path.write_bytes(orjson.dumps(told))
    shown = drift_part(path)
    assert shown is not None
    assert (len(shown["features"]), shown["left_out"]) == (MOST_FEATURES, 500 - MOST_FEATURES)
    first = shown["features"][0]
    assert first["name"] == "f499"
    assert len(first["bins"]) == MOST_BINS
    assert ("level 70", 0.01, 0.5) in first["bins"]
    assert first["bins"][-1][0] == f"{100 - MOST_BINS + 1} others"
    assert sum(usual for _, usual, _ in first["bins"]) == pytest.approx(1)
    assert max(len(label) for label, _, _ in first["bins"]) == 80
    assert len(orjson.dumps(shown)) < 200_000


@pytest.mark.usefixtures("fresh")
async def test_findings_that_cannot_be_read(seen: Client, named_home: Path) -> None:
    """Whatever lies there, the rest is shown, and that it cannot be read."""
    path = named_home / DRIFT_FINDINGS
    path.parent.mkdir()
    odd = (b"", b"{", b"[]", b"{}", b'{"columns": 1}', b'{"columns": {"a": {}}}', b" " * (1 << 23))
    for content in odd:
        path.write_bytes(content)
        told = await state(seen, **ADMIN)
        assert "unreadable" in told["drift"], content[:9]
        assert told["models"]["versions"]


def test_what_was_judged_of_lists(tmp_path: Path) -> None:
    """What is worse first, then everybody's figures; segments that are fine are counted."""
    judged = leave_performance(tmp_path)
    told = performance_part(tmp_path / PERFORMANCE_FINDINGS)
    assert told is not None
    assert (told["version"], told["baseline"], told["at_ms"]) == ("v2", "v1", judged.at_ms)
    names = [each["name"] for each in told["figures"]]
    assert names == [WORSE, "ctr", "conversion", "revenue"]
    assert told["left_out"] == 1
    ctr, conversion = told["figures"][1:3]
    assert ctr == {
        "name": "ctr",
        "value": 0.081,
        "low": pytest.approx(0.0739, abs=1e-4),
        "high": pytest.approx(0.0881, abs=1e-4),
        "before": 0.083,
        "change": -0.024,
        "state": "fine",
        "lists": 5_120,
        "least_lists": 4_800,
        "days": 7,
        "end_ms": judged.at_ms,
    }
    assert (conversion["value"], conversion["lists"], conversion["least_lists"]) == (None, 0, None)
    assert (told["scores"], told["notes"]) == ([ONE_BIN], [NOTE])


@pytest.mark.parametrize(
    "odd",
    [
        {"metrics": 7},
        {"metrics": [{}]},
        {"version": None, "metrics": [None]},
        {"scores": [{"from": 0}]},
        {"metrics": [{"value": "1"}]},
        {"metrics": [{"value": None, "baseline": 7}]},
    ],
)
async def test_findings_of_performance_that_are_none_are_told(
    seen: Client, home: Path, odd: dict[str, Any]
) -> None:
    """In their place on the page, and the rest is shown."""
    leave_performance(home)
    path = home / PERFORMANCE_FINDINGS
    good = orjson.loads(path.read_bytes())
    metrics = odd.get("metrics")
    if isinstance(metrics, list):
        odd["metrics"] = [(each and {**good["metrics"][0], **each}) or each for each in metrics]
    path.write_bytes(orjson.dumps({**good, **odd}))
    told = await state(seen, **ADMIN)
    assert "unreadable" in told["performance"]
    assert told["models"]["versions"]


def test_what_is_worse_is_not_cut_off(tmp_path: Path) -> None:
    """However many figures are told before it; what is left out is counted."""
    leave_performance(tmp_path)
    path = tmp_path / PERFORMANCE_FINDINGS
    told = orjson.loads(path.read_bytes())
    fine, *_, worse, _ = told["metrics"]
    told["metrics"] = [fine] * 1_000 + [worse]
    told["notes"] = ["y" * 10_000] * 100
    path.write_bytes(orjson.dumps(told))
    shown = performance_part(path)
    assert shown is not None
    assert [each["state"] for each in shown["figures"][:2]] == ["worse high", "fine"]
    assert (len(shown["figures"]), shown["left_out"]) == (MOST_FIGURES, 1_001 - MOST_FIGURES)
    assert len(orjson.dumps(shown)) < 40_000


async def test_items_have_names(seen: Client) -> None:
    """Those that have one: an id that nobody knows has none."""
    wanted = [HARM, "wine-0004", f"wine-{UNNAMED:04d}", "nothing"]
    answer = await seen.post("/ui/names", json={"item_ids": wanted})
    names = (await answer.json())["names"]
    assert set(names) == {HARM, "wine-0004"}
    assert names["wine-0004"] == HARM
    assert answer.content_type == "application/json"


async def test_ids_that_are_none(seen: Client) -> None:
    """The field is named."""
    bodies: dict[str, object] = {
        "item_ids": {"item_ids": ["x"] * 101},
        "item_ids[0]": {"item_ids": [1]},
        "ids": {"ids": []},
        "body": [],
    }
    for field, body in bodies.items():
        answer = await seen.post("/ui/names", json=body)
        told = await answer.json(content_type=None)
        assert (answer.status, told["errors"][0]["field"]) == (422, field)
    assert (await seen.post("/ui/names", data=b"{")).status == 415


@pytest.mark.usefixtures("fresh")
async def test_events_and_dead_letters(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far groups are behind and what nobody could read; that the store is away is said."""
    monkeypatch.setattr("server.event_lag.LOOK_S", 0.02)
    service = await start()
    store = service.app[keys.STORE]
    assert isinstance(store, ValkeyStore)
    await EventStream(store.client, Group.OFFLINE, "one").join()
    await store.client.xadd(DEAD_LETTERS, {"reason": "odd"})
    await send(service, event("u", "a"))

    async def events() -> Any:
        return (await state(service))["events"]

    behind = {"online": 1, "offline": 1}
    async with asyncio.timeout(10):
        while await events() != {"store": "there", "behind": behind, "dead_letters": 1}:
            await asyncio.sleep(0.01)
        await store.close()
        monkeypatch.setattr("server.event_lag.behind", _away)
        while await events() != {"store": "away"}:
            await asyncio.sleep(0.01)


async def _away(_: object) -> dict[str, int]:
    raise StoreError("away")


@pytest.mark.usefixtures("fresh")
async def test_shoppers_to_try_are_those_who_came_last(start: Start) -> None:
    """The bundle's example first; a forgotten one is no suggestion."""
    service = await start()
    await send(service, event("u1", "wine-0000"), event("u2", "wine-0000"))
    for user_id in ("u1", "u2"):
        await ask(service, user_id)
    assert (await state(service, **ADMIN))["shoppers"] == ["amélie", "u2", "u1"]
    assert (await service.delete("/v1/users/u2", headers=ADMIN)).status == 204
    assert (await state(service, **ADMIN))["shoppers"] == ["amélie", "u1"]
