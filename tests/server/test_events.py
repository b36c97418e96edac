"""Events over HTTP: kept before the 202, once each, all or none."""

import asyncio
from typing import Any

import pytest

from features.errors import StoreError, StoreFullError
from features.online.store import NullStore
from features.online.valkey_store import ValkeyStore
from features.stream.event_stream import EventStream, Group
from server import keys
from tests.support.service import ADMIN, Client, Start, ask, event, send


async def test_events_are_counted(service: Client) -> None:
    """The answer tells how many were new."""
    one, two = event("u1", "a"), event("u1", "b")
    answer = await service.post("/v1/events", json={"events": [one, two]})
    assert await answer.json() == {"accepted": 2, "duplicates": 0}
    answer = await service.post("/v1/events", json={"events": [one, event("u1", "c")]})
    assert (answer.status, await answer.json()) == (202, {"accepted": 1, "duplicates": 1})


async def test_one_bad_event_refuses_all(service: Client) -> None:
    """Nothing of a post with a mistake is kept."""
    good, bad = event("u9", "a"), event("u9", "b", timestamp="yesterday")
    answer = await service.post("/v1/events", json={"events": [good, bad]})
    assert answer.status == 422
    told = await answer.json(content_type=None)
    assert [each["field"] for each in told["errors"]] == ["events[1].timestamp"]
    shopper = await (await service.get("/v1/users/u9", headers=ADMIN)).json()
    assert not shopper["known"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "buy"),
        ("user_id", ""),
        ("user_id", None),
        ("item_id", 7),
        ("timestamp", -1e300),
        ("timestamp", True),
        ("value", "5"),
        ("colour", "red"),
    ],
)
async def test_a_bad_field_is_named(service: Client, field: str, value: Any) -> None:
    """Index and field of every mistake are told."""
    answer = await service.post("/v1/events", json={"events": [event("u", "a") | {field: value}]})
    told = await answer.json(content_type=None)
    assert answer.status == 422
    assert told["errors"][0]["field"] == f"events[0].{field}"


async def test_a_full_store_asks_to_come_back(start: Start) -> None:
    """Events that cannot be kept are not acknowledged; lists still come."""

    class Full(NullStore):
        async def append(self, events: Any) -> Any:  # noqa: ARG002
            raise StoreFullError("disk")

    service = await start(Full())
    answer = await service.post("/v1/events", json={"events": [event("u", "a")]})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (await ask(service, "u"))["items"]


async def test_a_shopper_is_shown_and_forgotten(service: Client) -> None:
    """What is known is what was sent, and after forgetting there is nothing."""
    known = [item["item_id"] for item in (await (await service.get("/v1/popular")).json())["items"]]
    await send(service, event("u/1 ü", known[0]))
    await asyncio.sleep(0.002)  # stamps are milliseconds
    await send(service, event("u/1 ü", known[1], "purchase", value=7.25))
    path = "/v1/users/u%2F1%20%C3%BC"
    shopper = await (await service.get(path, headers=ADMIN)).json()
    assert (shopper["user_id"], shopper["known"]) == ("u/1 ü", True)
    assert [each["type"] for each in shopper["events"]] == ["purchase", "click"]
    assert shopper["events"][0]["value"] == 7.25
    assert shopper["features"]["recent_spend"] == 7.25
    assert shopper["features"]["avg_rating"] is None  # not known, which is not the default
    assert (await ask(service, "u/1 ü"))["source"] == "model"
    metrics = await (await service.get("/metrics")).text()
    assert "\ncuvee_missing_features_sum 4.0\n" in metrics
    assert (await service.delete(path, headers=ADMIN)).status == 204
    assert not (await (await service.get(path, headers=ADMIN)).json())["known"]
    assert (await ask(service, "u/1 ü"))["reason"] == "unknown_user"


async def test_how_far_consumers_are_behind_is_shown(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gauge for each group, once there is a stream; a store that does not answer changes none."""
    monkeypatch.setattr("server.event_lag.LOOK_S", 0.05)
    service = await start()
    store = service.app[keys.STORE]
    assert isinstance(store, ValkeyStore)
    await EventStream(store.client, Group.OFFLINE, "one").join()
    await send(service, event("u", "a"))
    told = ""
    async with asyncio.timeout(10):
        while 'cuvee_events_behind{group="offline"} 1.0' not in told:
            told = await (await service.get("/metrics")).text()
    assert 'cuvee_events_behind{group="online"} 1.0' in told

    async def broken(_: object) -> dict[str, int]:
        raise StoreError("away")

    monkeypatch.setattr("server.event_lag.behind", broken)
    await asyncio.sleep(0.2)
    told = await (await service.get("/metrics")).text()
    assert 'cuvee_events_behind{group="offline"} 1.0' in told
