"""Lists over HTTP: the ladder in good times, and what is never shown."""

import asyncio
from typing import Any

import pytest

from features.errors import StoreError
from features.online.store import NullStore, ShopperQuery
from server import keys
from tests.support.service import ADMIN, Client, Start, ask, event, ids, send

FIELDS = {
    "recommendation_id", "user_id", "items", "source", "degraded", "reason", "model_version",
    "segment", "next_cursor", "experiment", "latency_ms",
}  # fmt: skip


async def popular(service: Client, k: int = 100) -> list[str]:
    """Return the ids of the most popular items."""
    answer = await service.get(f"/v1/popular?k={k}")
    return ids(await answer.json())


async def test_a_stranger_gets_what_is_popular(service: Client) -> None:
    """Nobody is left without a list, and a stranger's is not called degraded."""
    answer = await ask(service, "nobody", k=4)
    assert set(answer) == FIELDS
    assert (answer["source"], answer["reason"]) == ("global", "unknown_user")
    assert not answer["degraded"]
    assert ids(answer) == await popular(service, 4)


async def test_one_click_makes_a_list_personal(service: Client) -> None:
    """After a single event the model answers."""
    liked = (await popular(service))[0]
    await send(service, event("u1", liked))
    answer = await ask(service, "u1", k=5)
    assert (answer["source"], answer["reason"], answer["degraded"]) == ("model", None, False)
    assert len(answer["items"]) == 5


async def test_what_is_remembered_of_a_shopper_stands_alone(service: Client) -> None:
    """It is no part of a batch's array, which would be kept whole for it."""
    one, other = (await popular(service))[:2]
    await send(service, event("u1", one, "purchase"), event("u1", other))
    await ask(service, "u1")
    blocked = service.app[keys.LAST_KNOWN].recall("u1").blocked
    assert len(blocked) == 1
    assert blocked.base is None


async def test_the_second_list_comes_from_the_cache(service: Client) -> None:
    """The same request again has the same items and an id of its own."""
    await send(service, event("u1", (await popular(service))[0]))
    first = await ask(service, "u1")
    again = await until_cached(service, "u1")
    assert ids(again) == ids(first)
    assert again["segment"] == first["segment"]
    assert again["recommendation_id"] != first["recommendation_id"]


async def until_cached(service: Client, user_id: str, **fields: Any) -> dict[str, Any]:
    """Ask until the answer comes from the cache: it is written behind the answer."""
    async with asyncio.timeout(10):
        while (answer := await ask(service, user_id, **fields))["source"] != "cache":
            await asyncio.sleep(0.01)
    return answer


async def test_an_event_makes_the_cached_list_untrue(service: Client) -> None:
    """What a shopper does shows in the very next list."""
    known = await popular(service)
    await send(service, event("u1", known[0]))
    shown = ids(await until_cached(service, "u1"))
    await send(service, event("u1", shown[0], "purchase", value=9.5))
    answer = await ask(service, "u1")
    assert answer["source"] == "model"
    assert shown[0] not in ids(answer)


async def test_another_request_is_another_answer(service: Client) -> None:
    """The cache never answers a request with other filters."""
    await send(service, event("u1", (await popular(service))[0]))
    shown = ids(await until_cached(service, "u1", k=5))
    answer = await ask(service, "u1", k=5, exclude=[shown[0]])
    assert shown[0] not in ids(answer)


@pytest.mark.parametrize("kind", ["purchase", "rating", "not_interested", "add_to_cart"])
async def test_what_must_not_be_shown_is_not(service: Client, kind: str) -> None:
    """Bought, rated, refused and in the basket: none of these comes back."""
    known = await popular(service)
    value = {"purchase": 5.0, "rating": 4.0}.get(kind)
    told = {} if value is None else {"value": value}
    await send(service, event("u1", known[0]), event("u1", known[1], kind, **told))
    assert known[1] not in ids(await ask(service, "u1", k=100))


async def test_taken_out_of_the_basket_it_may_be_shown(service: Client) -> None:
    """An item that left the basket may come back."""
    known = await popular(service)
    await send(service, event("u1", known[0]), event("u1", known[1], "add_to_cart"))
    await asyncio.sleep(0.002)  # within a millisecond events have no order
    await send(service, event("u1", known[1], "remove_from_cart"))
    assert known[1] in ids(await ask(service, "u1", k=100))


@pytest.mark.parametrize("user_id", ["stranger", "u1"])
async def test_exclusions_hold_on_every_rung(service: Client, user_id: str) -> None:
    """Neither the model nor the popular list shows what the request excludes."""
    known = await popular(service)
    await send(service, event("u1", known[5]))
    answer = await ask(service, user_id, k=100, exclude=known[:2], context={"item_id": known[2]})
    assert not {*known[:3]} & {*ids(answer)}
    assert answer["items"]


@pytest.mark.parametrize("user_id", ["stranger", "u1"])
async def test_all_that_is_allowed_comes(service: Client, user_id: str) -> None:
    """As long as k items are allowed there are k."""
    known = await popular(service)
    await send(service, event("u1", known[-1]))
    allowed = len(known) - 3
    answer = await ask(service, user_id, k=allowed, exclude=known[:3])
    assert len({*ids(answer)}) == allowed


async def test_a_filter_that_nothing_passes_gives_an_empty_list(service: Client) -> None:
    """No item is better than a wrong one."""
    answer = await ask(service, "stranger", filters={"category": ["no such category"]})
    assert answer["items"] == []


async def test_a_stranger_looks_at_an_item(service: Client) -> None:
    """Whose page it is says more than what everybody buys; what the request names says more yet."""
    seen = (await popular(service))[0]
    await send(service, event("u1", seen))
    taste = (await ask(service, "u1"))["segment"]
    assert taste != "global"
    for user_id in ("stranger", "session:s1"):
        answer = await ask(service, user_id, k=5, context={"item_id": seen})
        told = answer["source"], answer["reason"], answer["segment"]
        assert told == ("segment", "unknown_user", taste)
        assert len(answer["items"]) == 5
        assert seen not in ids(answer)
    named = await ask(service, "stranger", context={"item_id": seen, "segment": "global"})
    assert named["segment"] == "global"
    unknown = await ask(service, "stranger", context={"item_id": "not in the catalogue"})
    assert unknown["segment"] == "global"


async def test_a_named_segment_is_answered_from(service: Client) -> None:
    """The page may name the segment; an unknown one is ignored, since models change."""
    model = await (await service.get("/v1/models", headers=ADMIN)).json()
    assert model["serving"]
    answer = await ask(service, "stranger", context={"segment": "no such segment"})
    assert answer["segment"] == "global"


@pytest.mark.parametrize("user_id", ["ü", "用户 7", "🍷" * 128, "a'b\"c\\", "{u:1}:r", "\u200b"])
async def test_any_unicode_is_an_id(service: Client, user_id: str) -> None:
    """Ids of any script are taken, echoed and kept apart."""
    await send(service, event(user_id, (await popular(service))[0]))
    answer = await ask(service, user_id)
    assert (answer["user_id"], answer["source"]) == (user_id, "model")


async def test_an_unknown_item_does_no_harm(service: Client) -> None:
    """A shopper of whom only unknown items are known gets what is popular."""
    await send(service, event("u1", "not in the catalogue"))
    answer = await ask(service, "u1")
    assert (answer["source"], answer["reason"]) == ("global", "unknown_user")


async def test_page_clocks_may_differ(service: Client) -> None:
    """A click counts even where the page's clock is behind the server's."""
    await send(service, event("u1", (await popular(service))[0]))
    answer = await ask(service, "u1", context={"timestamp": 1_500_000_000})
    assert answer["source"] == "model"


async def test_many_at_once_get_their_own(service: Client) -> None:
    """Shoppers whose reads and runs are shared get the lists they would get alone."""
    known = await popular(service)
    users = [f"u{n}" for n in range(40)]
    await send(service, *(event(user, known[n % 7]) for n, user in enumerate(users)))
    together = await asyncio.gather(*(ask(service, user) for user in users))
    for user, answer in zip(users, together, strict=True):
        assert answer["user_id"] == user
        assert ids(answer) == ids(await ask(service, user))


def inflight(metrics: str) -> float:
    """Return the gauge of requests under way."""
    return float(metrics.partition("\ncuvee_inflight_requests ")[2].partition("\n")[0])


async def test_beyond_the_limit_the_ladder_answers(start: Start) -> None:
    """With no room for a personal answer there is still a list."""
    release = asyncio.Event()

    class Slow(NullStore):
        async def read(self, queries: Any) -> Any:
            await release.wait()
            return await super().read(queries)

    service = await start(Slow(), CUVEE_MAX_INFLIGHT="1")
    held = asyncio.ensure_future(ask(service, "first"))
    async with asyncio.timeout(10):
        while inflight(await (await service.get("/metrics")).text()) < 2:  # this scrape is one
            await asyncio.sleep(0)
    answer = await ask(service, "second")
    assert (answer["reason"], answer["degraded"]) == ("overload", True)
    assert answer["items"]
    release.set()
    assert (await held)["reason"] == "unknown_user"


@pytest.mark.parametrize("by", ["model", "cache"])
async def test_an_outage_shows_nothing_that_was_bought(
    start: Start, redis_url: str, by: str
) -> None:
    """What was seen of a shopper before the store went still holds, whoever ranked for them."""
    from features.online.valkey_store import ValkeyStore

    class Switch(ValkeyStore):
        down = False

        async def read(self, queries: Any) -> Any:
            if self.down:
                raise StoreError("down")
            return await super().read(queries)

    store = Switch(redis_url)
    first, service = await start(), await start(store)
    known = await popular(service)
    await send(first, event("u1", known[1]), event("u1", known[0], "purchase", value=1.0))
    if by == "cache":
        await until_cached(first, "u1")
    assert (await ask(service, "u1"))["source"] == by
    store.down = True
    answer = await ask(service, "u1", k=100)
    assert (answer["reason"], answer["degraded"]) == ("feature_error", True)
    assert known[0] not in ids(answer)
    assert known[1] in ids(answer)


async def test_without_a_bucket_of_its_own_nothing_is_cached(service: Client) -> None:
    """Strangers' answers are not kept: the first event must not meet one."""
    await ask(service, "newcomer")
    await send(service, event("newcomer", (await popular(service))[0]))
    assert (await ask(service, "newcomer"))["source"] == "model"


def test_queries_are_read_by_value() -> None:
    """A read is named by shopper and bucket."""
    assert ShopperQuery("u", "b") == ShopperQuery("u", "b")
