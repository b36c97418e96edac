"""Shoppers who get popular items on purpose: some, always the same ones, for a while."""

import asyncio
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from features.online.embedded import EmbeddedValkey
from models.batch import Batch
from models.model import Model
from models.request import Ranking
from monitoring.fallback_share import (
    FILE,
    LONGEST_S,
    FallbackShare,
    end_of,
    place_of,
    read_share,
    share_now,
    write_share,
)
from monitoring.metrics import Metrics
from server import keys
from server.held_back import HeldBack
from tests.support.service import Client, ask, event, ids, send

NOW_S = 1_767_225_600.0


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """Return one store: nothing of this is in it."""
    return valkey.url


def share_of(share: float, since_s: float, for_s: float = 60) -> FallbackShare:
    """Return a share that begins at a moment."""
    return FallbackShare(share, since_s, since_s + for_s, "test")


async def until_seen(service: Client, metric: str) -> None:
    """Wait for the service to have looked."""
    await service.app[keys.LADDER].held_back.look()
    assert metric in await (await service.get("/metrics")).text()


async def test_nobody_stays_held_back_where_that_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that fails lets everybody go, and the next is taken all the same."""
    looks = 0

    async def fails(self: HeldBack) -> None:  # noqa: ARG001 - as the method is called
        nonlocal looks
        looks += 1
        raise RuntimeError("no thread")

    monkeypatch.setattr(HeldBack, "look", fails)
    monkeypatch.setattr("server.held_back.LOOK_S", 0.001)
    held = HeldBack(tmp_path, Metrics(CollectorRegistry()))
    held.end = end_of(1.0)
    following = asyncio.ensure_future(held.follow())
    async with asyncio.timeout(10):
        while looks < 3:
            await asyncio.sleep(0.001)
    following.cancel()
    assert not held.has("u1")


async def test_everybody_is_held_back_and_let_go(service: Client, home: Path) -> None:
    """Popular items that say why, none that was bought; no cache is asked; then as before."""
    clicked, bought, *_ = ids(await (await service.get("/v1/popular")).json())
    await send(service, event("u1", clicked), event("u1", bought, "purchase", value=1.0))
    assert (await ask(service, "u1", k=100))["source"] == "model"
    write_share(home, share_of(1.0, time.time()))
    await until_seen(service, "cuvee_fallback_share_ratio 1.0")
    answer = await ask(service, "u1", k=100)
    assert answer["source"] in {"segment", "global"}
    assert (answer["reason"], answer["degraded"]) == ("fallback_share", True)
    assert answer["items"]
    assert bought not in ids(answer)
    assert (await ask(service, "nobody"))["reason"] == "unknown_user"
    metrics = await (await service.get("/metrics")).text()
    assert 'cuvee_fallback_total{reason="fallback_share"} 1.0' in metrics
    write_share(home, share_of(0.0, time.time()))
    await until_seen(service, "cuvee_fallback_share_ratio 0.0")
    assert (await ask(service, "u1", k=100))["source"] in {"model", "cache"}


async def test_histories_of_those_held_back_are_looked_at_together(
    service: Client, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In fewer runs than there are shoppers; one that fails spoils no other."""
    clicked, bought, *_ = ids(await (await service.get("/v1/popular")).json())
    users = [f"u{number}" for number in range(16)]
    await send(service, *(event(each, clicked) for each in users))
    await send(service, *(event(each, bought, "purchase", value=1.0) for each in users))
    sizes: list[int] = []
    shoppers = Model.shoppers

    def counted(model: Model, batch: Batch) -> list[Ranking]:
        if "u7" in {each.user_id for each in batch.requests}:
            raise RuntimeError("a fault of ours")
        sizes.append(len(batch))
        return shoppers(model, batch)

    write_share(home, share_of(1.0, time.time()))
    await until_seen(service, "cuvee_fallback_share_ratio 1.0")
    await asyncio.gather(*(ask(service, each, k=100) for each in users))
    monkeypatch.setattr(Model, "shoppers", counted)
    await asyncio.gather(*(ask(service, each, k=100) for each in users if each != "u7"))
    assert sum(sizes) == 15
    assert max(sizes) > 1
    sizes.clear()
    told = await asyncio.gather(*(ask(service, each, k=100) for each in users))
    assert {each["reason"] for each in told} == {"fallback_share"}
    assert sum(sizes) == 15
    assert not any(bought in ids(each) for each in told)  # u7: as was seen last


async def test_a_running_service_follows(service: Client, home: Path) -> None:
    """Within a second or so, nobody told it."""
    (clicked, *_) = ids(await (await service.get("/v1/popular")).json())
    await send(service, event("u1", clicked))
    write_share(home, share_of(1.0, time.time()))
    reason = None
    while reason != "fallback_share":
        reason = (await ask(service, "u1"))["reason"]


def test_shares_are_nested_and_as_large_as_told() -> None:
    """Who is in a share is in every larger one."""
    places = [place_of(f"shopper {number}") for number in range(4_000)]
    assert sum(each < end_of(0.25) for each in places) / 4_000 == pytest.approx(0.25, abs=0.03)
    assert end_of(0.0) == 0
    assert all(each < end_of(1.0) for each in places)


def test_a_share_ends_by_itself(tmp_path: Path) -> None:
    """When it says so, and after a day whatever it says; one of the future has not begun."""
    assert share_now(tmp_path, NOW_S) == 0
    write_share(tmp_path, share_of(0.5, NOW_S))
    assert [share_now(tmp_path, NOW_S + after) for after in (-60, 0, 59, 60)] == [0, 0.5, 0.5, 0]
    write_share(tmp_path, share_of(0.5, NOW_S, 1e9))
    assert share_now(tmp_path, NOW_S + LONGEST_S - 1) == 0.5
    assert share_now(tmp_path, NOW_S + LONGEST_S) == 0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "7",
        '{"share": 2, "since_s": 0, "until_s": 9e9, "why": ""}',
        '{"share": "1", "since_s": 0, "until_s": 9e9, "why": ""}',
        '{"share": null, "since_s": 0, "until_s": 9e9, "why": ""}',
        '{"share": 1, "since_s": 0, "until_s": 9e9}',
    ],
)
async def test_a_file_that_cannot_be_believed_holds_nobody_back(
    tmp_path: Path, content: str
) -> None:
    """Whatever is in it."""
    from prometheus_client import CollectorRegistry

    path = tmp_path / FILE
    path.parent.mkdir()
    path.write_text(content)
    assert read_share(tmp_path) is None
    held = HeldBack(tmp_path, Metrics(CollectorRegistry()), lambda: NOW_S)
    await held.look()
    assert held.end == 0
