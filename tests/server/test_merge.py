"""`POST /v1/users/{id}/merge`: what was done before somebody said who they are is theirs."""

from typing import Any

import pytest

from features.online.embedded import EmbeddedValkey
from features.online.valkey_store import ValkeyStore
from tests.server.test_sessions import anonymously, visit
from tests.support.service import ADMIN, Client, Start, ask, event, ids, send

ITEM, OTHER, THIRD = "wine-0003", "wine-0008", "wine-0010"


async def merge(service: Client, user_id: str, source: str) -> dict[str, Any]:
    """Merge a shopper into another."""
    answer = await service.post(f"/v1/users/{user_id}/merge", json={"from": source})
    assert answer.status == 200, await answer.text()
    told: dict[str, Any] = await answer.json()
    return told


async def shown(service: Client, user_id: str) -> list[tuple[str, str]]:
    """Return what is known online of what a shopper did, sorted."""
    told = await (await service.get(f"/v1/users/{user_id}", headers=ADMIN)).json()
    return sorted((each["type"], each["item_id"]) for each in told["events"])


async def test_a_session_becomes_the_shoppers(service: Client) -> None:
    """At once, beside what was theirs already; the session is gone, with its lists."""
    await send(service, event("ann", ITEM), visit("s1", OTHER, "purchase"), visit("s1", THIRD))
    before = await ask(service, "ann")
    await anonymously(service, "s1")
    told = await merge(service, "ann", "session:s1")
    assert told == {"user_id": "ann", "from": "session:s1", "events": 2}
    assert await shown(service, "ann") == [("click", ITEM), ("click", THIRD), ("purchase", OTHER)]
    after = await ask(service, "ann")
    assert after["source"] == "model"
    assert OTHER not in ids(after)
    assert ids(after) != ids(before)
    assert await shown(service, "session:s1") == []
    assert (await anonymously(service, "s1"))["reason"] == "unknown_user"


async def test_twice_is_as_good_as_once(service: Client) -> None:
    """A merge that is sent again brings nothing more, and spoils no cached list."""
    await send(service, visit("s1", ITEM), visit("s1", OTHER, "purchase"))
    assert (await merge(service, "ann", "session:s1"))["events"] == 2
    first = await ask(service, "ann")
    assert (await merge(service, "ann", "session:s1"))["events"] == 0
    again = await ask(service, "ann")
    assert (again["source"], ids(again)) == ("cache", ids(first))


async def test_a_session_may_go_on(service: Client) -> None:
    """What comes after the merge is the session's own, until the next merge, into whomever."""
    await send(service, visit("s1", ITEM))
    await merge(service, "ann", "session:s1")
    await send(service, visit("s1", OTHER))
    assert await shown(service, "session:s1") == [("click", OTHER)]
    await merge(service, "ben", "session:s1")
    assert await shown(service, "ann") == [("click", ITEM)]
    assert await shown(service, "ben") == [("click", OTHER)]


async def test_there_and_back(service: Client) -> None:
    """A history goes wherever it is merged to, and nothing of it is lost on the way."""
    await send(service, event("guest", ITEM))
    for source, into in (("guest", "ann"), ("ann", "guest"), ("guest", "ben")):
        assert (await merge(service, into, source))["events"] == 1
    assert await shown(service, "ben") == [("click", ITEM)]
    assert await shown(service, "guest") == await shown(service, "ann") == []


async def test_who_was_forgotten_may_begin_with_a_session(service: Client) -> None:
    """What a session did before somebody was forgotten became theirs after it."""
    await send(service, event("ann", ITEM), visit("s1", OTHER))
    await service.delete("/v1/users/ann", headers=ADMIN)
    await merge(service, "ann", "session:s1")
    assert await shown(service, "ann") == [("click", OTHER)]
    await service.delete("/v1/users/ann", headers=ADMIN)
    assert await shown(service, "ann") == await shown(service, "session:s1") == []


async def test_nobody_is_merged_as_nothing(service: Client) -> None:
    """A session in which nothing happened is no mistake: most are such."""
    assert (await merge(service, "ann", "session:s1"))["events"] == 0
    assert (await merge(service, "ann", "guest"))["events"] == 0
    assert (await ask(service, "ann"))["reason"] == "unknown_user"


async def test_a_session_is_not_taken_for_a_shopper(service: Client) -> None:
    """Its bare id would merge nothing, unsaid; where a shopper has that id it is theirs."""
    await send(service, visit("7", ITEM))
    answer = await service.post("/v1/users/ann/merge", json={"from": "7"})
    assert answer.status == 422
    (error,) = (await answer.json(content_type=None))["errors"]
    assert error["field"] == "from"
    assert error["message"].endswith("for the session of that id say 'session:7'")
    await send(service, event("7", OTHER))
    await merge(service, "ann", "7")
    assert await shown(service, "ann") == [("click", OTHER)]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, None),
        (b"[]", 422, "body"),
        (b"{}", 422, "from"),
        (b'{"from": null}', 422, "from"),
        (b'{"from": 7}', 422, "from"),
        (b'{"from": ""}', 422, "from"),
        (b'{"from": "a\\u0000"}', 422, "from"),
        (b'{"from": "ann"}', 422, "from"),
        (b'{"from": "s", "form": 1}', 422, "form"),
        (b'{"from": "%b"}' % (b"s" * 129), 422, "from"),
        (b'{"from": "%b"}' % (b"s" * 70_000), 413, None),
    ],
)
async def test_bad_bodies(service: Client, body: bytes, status: int, field: str | None) -> None:
    """The field is named."""
    answer = await service.post(
        "/v1/users/ann/merge", data=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status == status
    told = (await answer.json(content_type=None)).get("errors", [{"field": None}])
    assert told[0]["field"] == field


async def test_a_store_that_is_away(start: Start, valkey: EmbeddedValkey) -> None:
    """Nothing is half merged: come again."""
    service = await start(store=ValkeyStore(f"{valkey.url}.not-there"))
    answer = await service.post("/v1/users/ann/merge", json={"from": "session:s1"})
    assert answer.status == 503
    assert "Retry-After" in answer.headers
