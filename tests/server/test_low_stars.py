"""What a shopper rates low, over HTTP: it speaks for nothing from the very next list on."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import write_bundle
from models.ranker_features import OF_THE_CANDIDATE, RANKER_FEATURES
from models.registry import Registry
from tests.support.bundles import small_parts
from tests.support.service import Client, Start, ask, event, ids, send

LIKED, RATED = "wine-0001", "wine-0005"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home whose ranker goes by what tells candidates apart, as learnt ones do."""
    weights = np.random.default_rng(5).normal(0, 0.1, len(RANKER_FEATURES)).astype(np.float32)
    weights[OF_THE_CANDIDATE:] = 0
    Registry(tmp_path).promote(write_bundle(tmp_path / "models", small_parts(weights=weights)))
    return tmp_path


async def happened(service: Client, user_id: str, *told: tuple[str, str, float | None]) -> None:
    """Tell what a shopper did, one after the other: which item, what, and the value of it."""
    for each in told:
        await send(service, did(user_id, *each))


def did(user_id: str, item: str, kind: str, value: float | None) -> dict[str, Any]:
    """Return an event with a value, where it has one."""
    return event(user_id, item, kind, **({} if value is None else {"value": value}))


async def shown(service: Client, user_id: str, **context: Any) -> list[dict[str, Any]]:
    """Return all that may be shown to a shopper."""
    answer = await ask(service, user_id, k=100, context=context)
    items: list[dict[str, Any]] = answer["items"]
    return items


def naming(items: list[dict[str, Any]], item_id: str) -> list[str]:
    """Return the reasons that name an item."""
    return [each["reason"] for each in items if each["reason"].endswith(f":{item_id}")]


def wines(items: list[dict[str, Any]]) -> list[str]:
    """Return the ids of items, in order."""
    return [each["item_id"] for each in items]


BEFORE: dict[str, list[tuple[str, str, float | None]]] = {
    "nothing": [],
    "looked": [(RATED, "click", None)],
    "bought": [(RATED, "click", None), (RATED, "add_to_cart", None), (RATED, "purchase", 9.5)],
    "rated well": [(RATED, "rating", 5.0)],
}


@pytest.mark.parametrize("stars", [0.0, 1.0, 2.0, 2.5])
@pytest.mark.parametrize("before", BEFORE)
async def test_what_is_rated_low_speaks_for_nothing(
    service: Client, before: str, stars: float
) -> None:
    """It is not shown and no reason, and the list is that of who has nothing to do with it."""
    told = [(LIKED, "click", None), *BEFORE[before]]
    await happened(service, "u1", *told)
    assert bool(naming(await shown(service, "u1"), RATED)) is (before != "nothing")
    await happened(service, "u1", (RATED, "rating", stars))
    after = await shown(service, "u1")
    assert RATED not in wines(after)
    assert not naming(after, RATED)
    assert naming(after, LIKED)
    await happened(service, "u2", (LIKED, "click", None), (RATED, "not_interested", None))
    assert wines(after) == wines(await shown(service, "u2"))


@pytest.mark.parametrize(("kind", "stars"), [("rating", 1.0), ("not_interested", None)])
async def test_what_was_new_to_its_shopper_is_left_out_and_no_more(
    service: Client, kind: str, stars: float | None
) -> None:
    """The list is that of a request which excludes it, in the order that the ranker gives it."""
    await happened(service, "u1", (LIKED, "click", None))
    assert RATED in wines(await shown(service, "u1"))
    excluded = await ask(service, "u1", k=100, exclude=[RATED])
    await happened(service, "u1", (RATED, kind, stars))
    assert wines(await shown(service, "u1")) == wines(excluded["items"])


async def test_few_stars_say_less_than_many(service: Client) -> None:
    """Three stars still speak for what is like the item, and better ones, given later, again."""
    for user, stars in {"u1": [3.0], "u2": [1.0, 4.0], "u3": [5.0]}.items():
        await happened(service, user, *[(RATED, "rating", each) for each in stars])
        items = await shown(service, user)
        assert RATED not in wines(items)
        assert {*naming(items, RATED)} == {f"because_you_rated:{RATED}"}


@pytest.mark.parametrize("user_id", ["nobody yet", "bruno"])
async def test_who_only_rated_low_is_shown_what_everybody_buys(
    service: Client, user_id: str
) -> None:
    """Without the item, and though training knew a taste of theirs, which it was of."""
    popular = ids(await (await service.get("/v1/popular?k=100")).json())
    await happened(service, user_id, (RATED, "purchase", 9.5), (RATED, "rating", 1.0))
    answer = await ask(service, user_id, k=100)
    assert (answer["source"], answer["segment"]) == ("global", "global")
    assert ids(answer) == [each for each in popular if each != RATED]
    assert {each["reason"] for each in answer["items"]} == {"popular", "in_range"}


async def test_rules_bring_back_nothing_that_is_rated_low(start: Start, tmp_path: Path) -> None:
    """What was bought may be bought again; what was rated low since is neither shown nor sought."""
    path = tmp_path / "rules.yaml"
    path.write_text("repurchase: {default: 1s}\ndislikes: {low_stars: 1}\n")
    service = await start(CUVEE_RULES=str(path))
    bought = [(LIKED, "click", None), (RATED, "purchase", 9.5)]
    for user, stars in {"u1": 1.0, "u2": 4.0}.items():
        await happened(service, user, *bought, (RATED, "rating", stars))
    soon = time.time() + 60
    low, high = [await shown(service, user, timestamp=soon) for user in ("u1", "u2")]
    assert RATED not in wines(low)
    assert not naming(low, RATED)
    assert "buy_again" in {each["reason"] for each in high if each["item_id"] == RATED}


VERDICTS = [(RATED, "purchase", 9.5), (RATED, "rating", 1.0)]


@pytest.mark.parametrize(("verdicts", "speaks"), [(VERDICTS, False), (VERDICTS[::-1], True)])
async def test_the_last_word_of_one_request_counts(
    service: Client, verdicts: list[tuple[str, str, float | None]], *, speaks: bool
) -> None:
    """For each of many shoppers, in requests of their own and in one; sent again, too."""
    alone, together = ([f"{where}{number}" for number in range(20)] for where in "at")
    requests = [[did(user, *each) for each in verdicts] for user in alone]
    requests.append([did(user, *each) for each in verdicts for user in together])
    for events in (*requests, *requests):
        answer = await service.post("/v1/events", json={"events": events})
        assert answer.status == 202, await answer.text()
    for user in (*alone, *together):
        items = await shown(service, user)
        assert RATED not in wines(items)
        assert bool(naming(items, RATED)) is speaks, user
