"""Page after page by cursor: no item twice, on any rung, whatever becomes of the shopper."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.online.store import NullStore
from models.bundle import write_bundle
from models.registry import Registry
from tests.support.bundles import small_parts
from tests.support.service import ADMIN, Client, Start, ask, event, ids, send

IN_STOCK = 26
"""Of the thirty items of the small shop."""


async def pages(service: Client, user_id: str, **fields: Any) -> list[dict[str, Any]]:
    """Return all pages of a list."""
    told = [await ask(service, user_id, **fields)]
    while (cursor := told[-1]["next_cursor"]) is not None:
        assert len(told) <= IN_STOCK
        told.append(await ask(service, user_id, cursor=cursor, **fields))
    return told


def shown(told: list[dict[str, Any]]) -> list[str]:
    """Return the items of all pages."""
    return [item for page in told for item in ids(page)]


@pytest.mark.parametrize("k", [1, 4, 13, 26, 100])
@pytest.mark.parametrize("user_id", ["known", "stranger"])
async def test_pages_hold_everything_once(service: Client, user_id: str, k: int) -> None:
    """All that may be shown, in full pages but for the last; then there is no cursor."""
    await send(service, event("known", "wine-0003"), event("known", "wine-0008", "purchase"))
    told = await pages(service, user_id, k=k)
    assert {page["source"] for page in told} == {"model" if user_id == "known" else "global"}
    assert [len(page["items"]) for page in told[:-1]] == [k] * (len(told) - 1)
    assert len(told[-1]["items"]) < k
    items = shown(told)
    assert len(items) == len({*items}) == IN_STOCK - (user_id == "known")


async def test_pages_are_cached_as_others(service: Client) -> None:
    """Each page under its own cursor: the same request gets the same page."""
    await send(service, event("ann", "wine-0003"))
    first = await pages(service, "ann", k=5)
    again = await pages(service, "ann", k=5)
    assert [page["source"] for page in first] == ["model"] * len(first)
    assert [page["source"] for page in again] == ["cache"] * len(first)
    assert [page["items"] for page in again] == [page["items"] for page in first]


async def test_the_shopper_may_go_on_meanwhile(service: Client) -> None:
    """What was clicked, bought or forgotten between pages brings nothing back."""
    await send(service, event("ann", "wine-0003"))
    told = [await ask(service, "ann", k=5)]
    bought = next(
        f"wine-{n:04d}" for n in range(30) if n % 7 != 6 and f"wine-{n:04d}" not in ids(told[0])
    )
    await send(service, event("ann", bought, "purchase"), event("ann", ids(told[0])[0]))
    told.append(await ask(service, "ann", k=5, cursor=told[-1]["next_cursor"]))
    await service.delete("/v1/users/ann", headers=ADMIN)
    told.append(await ask(service, "ann", k=5, cursor=told[-1]["next_cursor"]))
    assert told[-1]["reason"] == "unknown_user"
    assert bought not in ids(told[1])
    assert len({*shown(told)}) == 15


async def test_a_page_may_come_from_another_rung(start: Start, home: Path) -> None:
    """Another process, another model, no store: the next page repeats nothing all the same."""
    first = await start()
    await send(first, event("ann", "wine-0003"))
    one = await ask(first, "ann", k=8)
    Registry(home).promote(write_bundle(home / "models", replace(small_parts(), parameters={})))
    other = await start(store=NullStore())
    two = await ask(other, "ann", k=8, cursor=one["next_cursor"])
    assert (one["source"], two["source"]) == ("model", "global")
    assert len({*ids(one), *ids(two)}) == 16


async def test_filters_and_exclusions_hold_on_every_page(service: Client) -> None:
    """As on the first one."""
    told = await pages(service, "ann", k=3, filters={"category": ["Red"]}, exclude=["wine-0000"])
    items = shown(told)
    assert {*items} == {f"wine-{n:04d}" for n in range(4, 30, 4) if n % 7 != 6}
    assert len(items) == len({*items})


async def test_a_list_ends(service: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many items there is no further page, so that no cursor grows for ever."""
    monkeypatch.setattr("server.pages.MOST_SHOWN", 10)
    told = await pages(service, "ann", k=4)
    assert [len(page["items"]) for page in told] == [4, 4, 4]


async def refused(service: Client, cursor: object) -> str:
    """See a cursor refused, and return why."""
    answer = await service.post("/v1/recommendations", json={"user_id": "u", "cursor": cursor})
    assert answer.status == 422, cursor
    (error,) = (await answer.json(content_type=None))["errors"]
    assert error["field"] == "cursor"
    message: str = error["message"]
    return message


async def test_a_changed_cursor_is_refused(service: Client) -> None:
    """Any character of it, any piece of it, and what never was one."""
    cursor = (await ask(service, "ann", k=2))["next_cursor"]
    for place in range(len(cursor)):
        other = "A" if cursor[place] != "A" else "B"
        await refused(service, cursor[:place] + other + cursor[place + 1 :])
    for end in range(1, len(cursor)):
        await refused(service, cursor[:end])
    for wrong in ("", "abc", "é", cursor + "AAAAAAAAAAA", f" {cursor}", f"{cursor}=", "A" * 60_000):
        told = await refused(service, wrong)
        assert told.startswith("expected the next_cursor of an answer, as it was told, got ")
        assert len(told) < 120
    for wrong in (7, True, [], {"a": 1}):
        await refused(service, wrong)


async def test_a_cursor_of_another_key_is_refused(start: Start) -> None:
    """With a key of their own, services take their own cursors and nobody else's."""
    plain, one, other = [await start(CUVEE_CURSOR_KEY=key) for key in ("", "a", "b")]
    cursor = (await ask(one, "ann", k=2))["next_cursor"]
    assert len((await ask(one, "ann", k=2, cursor=cursor))["items"]) == 2
    for service in (plain, other):
        await refused(service, cursor)


async def test_a_list_with_a_cursor_of_another_key_is_not_answered(start: Start) -> None:
    """Services with two keys may share a store: cached lists hold cursors, too."""
    one, other = [await start(CUVEE_CURSOR_KEY=key) for key in ("a", "b")]
    await send(one, event("ann", "wine-0003"))
    await ask(one, "ann", k=5)
    async with asyncio.timeout(10):
        while (await ask(one, "ann", k=5))["source"] != "cache":
            await asyncio.sleep(0.01)
    told = await pages(other, "ann", k=5)
    assert told[0]["source"] == "model"
    assert len(shown(told)) == len({*shown(told)}) == IN_STOCK
