"""Lists that belong to no shopper: what goes with an item, what a segment buys."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import write_bundle
from models.registry import Registry
from tests.support.bundles import small_parts
from tests.support.service import Client, Start, ids


@pytest.mark.parametrize("most_inline", [0, 20_000], ids=["in a thread", "on the loop"])
async def test_similar_items(
    service: Client, most_inline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as asked for, each once, without the item itself, in the same order anywhere."""
    monkeypatch.setattr("server.handlers.items.MOST_INLINE", most_inline)
    item = ids(await (await service.get("/v1/popular")).json())[0]
    told = await (await service.get(f"/v1/items/{item}/similar?k=5")).json()
    assert told["item_id"] == item
    assert len({*ids(told)} - {item}) == 5
    scores = [each["score"] for each in told["items"]]
    assert scores == sorted(scores, reverse=True)
    assert {each["reason"] for each in told["items"]} == {f"similar_to:{item}"}


async def bought_with(service: Client, item: str, *others: str, k: int = 5) -> dict[str, Any]:
    """Return what is bought with an item, or with several."""
    query = [("k", str(k)), *(("with", each) for each in others)]
    answer = await service.get(f"/v1/items/{item}/bought-together", params=query)
    assert answer.status == 200, await answer.text()
    told: dict[str, Any] = await answer.json()
    return told


@pytest.mark.parametrize("most_inline", [0, 20_000], ids=["in a thread", "on the loop"])
async def test_what_is_bought_together(
    service: Client, most_inline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Companions first, and what is similar where baskets say no more; reasons tell which."""
    monkeypatch.setattr("server.handlers.items.MOST_INLINE", most_inline)
    told = await bought_with(service, "wine-0009")
    assert (told["item_id"], told["source"]) == ("wine-0009", "baskets")
    assert ids(told)[:2] == ["wine-0008", "wine-0000"]
    assert len({*ids(told)} - {"wine-0009"}) == 5
    reasons = [each["reason"] for each in told["items"]]
    assert told["items"][0]["reason_text"] == "Often bought with wine-0009"
    assert reasons == ["bought_with:wine-0009"] * 2 + ["similar_to:wine-0009"] * 3


async def test_what_goes_with_a_basket(service: Client) -> None:
    """Nothing of the basket is shown; what the model does not know of it is left out."""
    told = await bought_with(service, "wine-0009", "wine-0008", "wine-0008", "who knows")
    assert ids(told)[:2] == ["wine-0000", "wine-0007"]
    assert not {"wine-0008", "wine-0009"} & {*ids(told)}


async def test_what_shares_no_basket(home: Path, start: Start) -> None:
    """The list says that it is of similar items, or where these are not known of popular ones."""
    told = await bought_with(await start(), "wine-0000")
    assert told["source"] == "similar"
    parts = replace(small_parts(personal=False), companions=None)
    Registry(home).promote(write_bundle(home / "models", parts))
    told = await bought_with(await start(), "wine-0009")
    assert (told["source"], len(told["items"])) == ("popular", 5)
    nothing = np.zeros((len(parts.segments.names), 4), np.uint8)
    parts = replace(parts, segments=replace(parts.segments, popular=nothing))
    Registry(home).promote(write_bundle(home / "models", parts))
    told = await bought_with(await start(), "wine-0009")
    assert (told["source"], {each["reason"] for each in told["items"]}) == (None, {"in_range"})
    Registry(home).promote(write_bundle(home / "models", replace(small_parts(1), companions=None)))
    told = await bought_with(await start(), "wine-0000")
    assert (told["source"], told["items"]) == (None, [])


async def test_popular_of_a_segment(service: Client) -> None:
    """What a segment buys is not what everybody does."""
    everybody = await (await service.get("/v1/popular?k=3")).json()
    some = await (await service.get("/v1/popular", params={"segment": "type=Red", "k": 3})).json()
    assert (everybody["segment"], some["segment"]) == ("global", "type=Red")
    assert len(ids(everybody)) == len(ids(some)) == 3
    assert ids(everybody) != ids(some)


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/v1/items/nothing/similar", 404, "item 'nothing' is not in the catalogue"),
        ("/v1/items/nothing/bought-together", 404, "item 'nothing' is not in the catalogue"),
        ("/v1/items/wine-0001/bought-together?k=101", 422, "k: expected an integer from 1 to 100"),
        ("/v1/items/wine-0001/bought-together?with=", 422, "with[0]: expected 1 to 128 characters"),
        (
            "/v1/items/wine-0001/bought-together?" + "&".join(["with=a"] * 51),
            422,
            "with: expected at most 50 entries, got 51",
        ),
        ("/v1/popular?segment=nobody", 404, "segment 'nobody' is none of this model's"),
        ("/v1/items/wine-0001/similar?n=3", 422, "n: unknown field"),
        (
            "/v1/items/wine-0001/bought-together?wiht=a",
            422,
            "wiht: unknown field; did you mean with?",
        ),
        ("/v1/popular?segement=a", 422, "segement: unknown field; did you mean segment?"),
        ("/v1/popular?k=0", 422, "k: expected an integer from 1 to 100"),
        ("/v1/popular?k=many", 422, "k: expected an integer from 1 to 100"),
    ],
)
async def test_what_is_not_there(service: Client, path: str, status: int, told: str) -> None:
    """A problem document says what is wrong."""
    answer = await service.get(path)
    assert answer.status == status
    assert told in (await answer.json(content_type=None))["detail"]
