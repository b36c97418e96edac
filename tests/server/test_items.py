"""Lists that belong to no shopper: what goes with an item, what a segment buys."""

import pytest

from tests.support.service import Client, ids


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
        ("/v1/popular?segment=nobody", 404, "segment 'nobody' is none of this model's"),
        ("/v1/popular?k=0", 422, "k: expected an integer from 1 to 100"),
        ("/v1/popular?k=many", 422, "k: expected an integer from 1 to 100"),
    ],
)
async def test_what_is_not_there(service: Client, path: str, status: int, told: str) -> None:
    """A problem document says what is wrong."""
    answer = await service.get(path)
    assert answer.status == status
    assert told in (await answer.json(content_type=None))["detail"]
