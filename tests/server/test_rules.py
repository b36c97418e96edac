"""A storefront's rules over HTTP: what is asked comes back by the rules of its page."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from features.errors import InputError, StoreError
from features.online.store import KeptAnswer, ShopperQuery
from features.online.valkey_store import ValkeyStore
from server import keys
from server.answer import Answer
from server.app import build_app
from server.settings import Settings
from tests.support.service import Client, Start, ask, event, ids, send

NOON = 1_760_000_000
HALF_HOUR = 1_800

RULES = """
show: {exclude: {categories: [Sparkling], items: [wine-0012]}}
repurchase: {default: never, categories: {White: 1s}}
pages:
  home:
    k: 7
    pins: [{item: wine-0014, position: 2}]
    caps: {default: 2}
  product: {rotation: {every: 30m, strength: 1}}
  basket: {explore: {share: 0.5, met_below: 1000000}}
"""


async def shop(start: Start, tmp_path: Path, rules: str = RULES, **more: Any) -> Client:
    """Return a service that follows rules, with a shopper who clicked."""
    path = tmp_path / "rules.yaml"
    path.write_text(rules)
    service = await start(CUVEE_RULES=str(path), **more)
    await send(service, event("u1", "wine-0001"), event("u2", "wine-0002"))
    return service


def category(item_id: str) -> int:
    """Return the number of a wine's category."""
    return int(item_id[-4:]) % 4


@pytest.mark.parametrize("user_id", ["u1", "stranger"])
async def test_a_page_has_rules_of_its_own(start: Start, tmp_path: Path, user_id: str) -> None:
    """Length, pins and caps on the home page; elsewhere only what is never shown."""
    service = await shop(start, tmp_path)
    home = await ask(service, user_id, context={"page": "home"})
    assert len(home["items"]) == 7  # two of three categories, and one over the cap for k
    counts = Counter(map(category, ids(home)[:6]))
    assert [counts[number] for number in range(4)] == [2, 2, 2, 0]
    assert ids(home)[1] == "wine-0014"
    assert home["items"][1]["reason"] == "pinned"
    assert home["items"][1]["reason_text"] == "Our choice"
    elsewhere = await ask(service, user_id, context={"page": "checkout"})
    assert len(elsewhere["items"]) == 10
    assert not {category(each) for each in ids(home) + ids(elsewhere)} & {3}


@pytest.mark.parametrize("user_id", ["u1", "stranger"])
async def test_each_reload_may_be_another_list(start: Start, tmp_path: Path, user_id: str) -> None:
    """Where a list is drawn anew each second; without rotation it is the same list."""
    service = await shop(start, tmp_path, "pages: {home: {rotation: {every: 1s, strength: 1}}}")

    async def reloads(page: str) -> set[tuple[str, ...]]:
        moments = [{"page": page, "timestamp": NOON + second} for second in range(6)]
        return {tuple(ids(await ask(service, user_id, context=each))) for each in moments}

    assert len(await reloads("home")) == 6
    assert len(await reloads("product")) == 1


@pytest.mark.parametrize(
    ("rules", "most_s"),
    [
        ("rotation: {every: 2s}", 2),
        ("rotation: {every: 1h}, explore: {share: 0.5, met_below: 5, every: 1m}", 60),
        ("caps: {default: 9}", 300),
    ],
)
async def test_a_list_is_cached_until_it_is_drawn_anew(
    start: Start, tmp_path: Path, rules: str, most_s: int
) -> None:
    """A store without room for what nobody reads again would take no more events."""
    kept = list[float]()

    async def put_answers(_: ValkeyStore, answers: Sequence[KeptAnswer]) -> None:
        kept.extend(each.ttl_s for each in answers)

    with patch.object(ValkeyStore, "put_answers", put_answers):
        service = await shop(start, tmp_path, f"pages: {{home: {{{rules}}}}}")
        told = await ask(service, "u1", context={"page": "home", "timestamp": NOON})
    assert told["source"] == "model"
    assert [0.9 * most_s <= each <= most_s for each in kept] == [True]


async def test_what_a_shop_never_shows_is_on_no_list(start: Start, tmp_path: Path) -> None:
    """Nor in lists that are no shopper's, whatever a request lets through."""
    service = await shop(start, tmp_path)
    lists = [
        ids(await ask(service, user, k=100, filters={"in_stock": False}, context={"page": page}))
        for user in ("u1", "stranger")
        for page in ("home", "product", "basket", "email", "other")
    ]
    lists += [
        ids(await (await service.get(path)).json())
        for path in (
            "/v1/popular?k=100",
            "/v1/items/wine-0001/similar?k=100",
            "/v1/items/wine-0014/bought-together?k=100",
        )
    ]
    for shown in lists:
        assert shown
        assert "wine-0012" not in shown
        assert 3 not in {category(each) for each in shown}


async def test_an_outage_changes_no_rule(start: Start, tmp_path: Path, redis_url: str) -> None:
    """With the store gone, pins, caps and what is never shown hold on the ladder."""
    from features.online.valkey_store import ValkeyStore

    class Switch(ValkeyStore):
        down = False

        async def read(self, queries: Any) -> Any:
            if self.down:
                raise StoreError("down")
            return await super().read(queries)

    store = Switch(redis_url)
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    service = await start(store, CUVEE_RULES=str(path))
    await send(service, event("u1", "wine-0001"))
    assert (await ask(service, "u1"))["source"] == "model"
    store.down = True
    answer = await ask(service, "u1", context={"page": "home"})
    assert answer["degraded"]
    assert ids(answer)[1] == "wine-0014"
    counts = Counter(map(category, ids(answer)[:6]))
    assert (max(counts.values()), counts[3]) == (2, 0)


async def test_a_reload_in_the_next_slot_is_another_list(start: Start, tmp_path: Path) -> None:
    """Within a slot it is the same, cached or not; a list of the last slot is not answered."""
    service = await shop(start, tmp_path)
    told = {}
    for slot in range(6):
        at = {"page": "product", "timestamp": NOON + slot * HALF_HOUR}
        first = await ask(service, "u1", context=at)
        async with asyncio.timeout(10):
            while (again := await ask(service, "u1", context=at))["source"] != "cache":
                assert ids(again) == ids(first)
                await asyncio.sleep(0.01)
        assert again["items"] == first["items"]
        told[slot] = tuple(ids(first))
    assert len({*told.values()}) == 6


async def test_what_is_new_has_its_share_and_its_propensity(start: Start, tmp_path: Path) -> None:
    """Half of the basket's places; the log has how probable each was, from the cache, too."""
    service = await shop(start, tmp_path)
    answers: list[Answer] = []
    written = service.app[keys.RECOMMEND]._written
    service.app[keys.RECOMMEND]._written = lambda answer, *rest: (  # type: ignore[method-assign]
        answers.append(answer),  # type: ignore[func-returns-value]
        written(answer, *rest),
    )[1]
    at = {"page": "basket", "timestamp": NOON}
    for user in ("u1", "stranger"):
        first = await ask(service, user, k=8, context=at)
        new = [place for place, each in enumerate(first["items"]) if each["reason"] == "explore"]
        assert len(new) == 4
        assert {first["items"][each]["reason_text"] for each in new} == {"Known to few so far"}
        chances = answers[-1].propensities
        assert {place for place, each in enumerate(chances) if each < 1} == {*new}
        assert len({chances[place] for place in new}) == 1
    await ask(service, "u1", k=8, context=at)
    async with asyncio.timeout(10):
        while (await ask(service, "u1", k=8, context=at))["source"] != "cache":
            await asyncio.sleep(0.01)
    made, cached = answers[0], answers[-1]
    assert cached.propensities == pytest.approx(made.propensities)
    assert cached.items == made.items


FURTHER = """
pins: [{item: wine-0014, position: 2}, {item: wine-0029, position: 7}]
caps: {default: 2}
pages:
  basket: {caps: null, pins: null, rotation: {every: 30m, strength: 1}, explore: {share: 0.4}}
"""


@pytest.mark.parametrize("user_id", ["u1", "stranger"])
async def test_further_pages_keep_the_rules(start: Start, tmp_path: Path, user_id: str) -> None:
    """Pins by their place in the whole list, caps on each page, chance anew; nothing twice."""
    service = await shop(start, tmp_path, FURTHER)
    pages = await turned(service, user_id, context={"timestamp": NOON})
    assert [ids(page)[1] for page in pages[:2]] == ["wine-0014", "wine-0029"]
    assert [each["item_id"] for page in pages for each in page["items"] if pinned(each)] == [
        "wine-0014", "wine-0029"
    ]  # fmt: skip
    for page in pages[:2]:
        assert max(Counter(map(category, ids(page))).values()) == 2
    drawn = await turned(service, user_id, context={"timestamp": NOON, "page": "basket"})
    again = await turned(service, user_id, context={"timestamp": NOON, "page": "basket"})
    assert [page["items"] for page in drawn] == [page["items"] for page in again]
    for lists in (pages, drawn):
        shown = [item for page in lists for item in ids(page)]
        assert len(shown) == len({*shown}) == IN_STOCK


def pinned(item: dict[str, Any]) -> bool:
    """Tell whether a rule put an item in its place."""
    return bool(item["reason"] == "pinned")


IN_STOCK = 26
"""Of the thirty items of the small shop."""


async def turned(service: Client, user_id: str, **fields: Any) -> list[dict[str, Any]]:
    """Return all pages of a list, five items each."""
    told = [await ask(service, user_id, k=5, **fields)]
    while (cursor := told[-1]["next_cursor"]) is not None:
        assert len(told) <= IN_STOCK
        told.append(await ask(service, user_id, k=5, cursor=cursor, **fields))
    return told


async def test_a_session_has_the_rules_of_a_shopper(start: Start, tmp_path: Path) -> None:
    """Ranked for who has not said who they are, with reasons, pins and what is never shown."""
    service = await shop(start, tmp_path)
    clicked = {**event("", "wine-0004"), "session_id": "s1"}
    del clicked["user_id"]
    await send(service, clicked)
    for user in ({}, {"user_id": "nobody yet"}):
        body = {**user, "session_id": "s1", "context": {"page": "home"}}
        answer = await (await service.post("/v1/recommendations", json=body)).json()
        assert answer["source"] in {"model", "cache"}
        assert len(answer["items"]) == 7
        assert ids(answer)[1] == "wine-0014"
        assert "because_you_viewed:wine-0004" in {each["reason"] for each in answer["items"]}
        assert all(each["reason_text"] for each in answer["items"])
        assert 3 not in {category(each) for each in ids(answer)}


async def test_pages_have_figures_of_their_own(start: Start, tmp_path: Path) -> None:
    """By a closed set: what a request calls otherwise is another page."""
    service = await shop(start, tmp_path)
    for page in ("home", "home", "<script>", "email"):
        await ask(service, "u1", context={"page": page})
    await ask(service, "u1")
    text = await (await service.get("/metrics")).text()
    counts: Counter[str] = Counter()
    for line in text.splitlines():
        if line.startswith("cuvee_page_duration_seconds_count"):
            counts[line.partition('page="')[2].partition('"')[0]] += int(float(line.split()[-1]))
    assert counts == {"home": 2, "email": 1, "other": 2}


async def test_other_rules_make_cached_lists_untrue(start: Start, tmp_path: Path) -> None:
    """A service that starts with another file does not answer with lists of the last one."""
    asked = {"context": {"timestamp": NOON}, "k": 5}
    service = await shop(start, tmp_path, "pins: [{item: wine-0014, position: 1}]")
    async with asyncio.timeout(10):
        while (await ask(service, "u1", **asked))["source"] != "cache":
            await asyncio.sleep(0.01)
    other = await shop(start, tmp_path, "pins: [{item: wine-0016, position: 1}]")
    assert ids(await ask(other, "u1", **asked))[0] == "wine-0016"


async def test_what_the_model_does_not_know_is_logged(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By name; the service starts all the same."""
    await shop(start, tmp_path, "pins: [{item: gone, position: 1}]")
    assert "rules: the model has no item 'gone': rules on it do nothing" in caplog.text


def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """All mistakes are told, with their places."""
    path = tmp_path / "rules.yaml"
    path.write_text("diversity: 3\ncaps: {default: x}\n")
    settings = Settings.from_environment({"CUVEE_HOME": str(tmp_path), "CUVEE_RULES": str(path)})
    with pytest.raises(InputError, match=r"(?s)diversity: .*caps\.default: "):
        build_app(settings)


def test_a_read_in_another_turn_is_another_bucket() -> None:
    """Lists of two slots never stand for each other."""
    from models.rules.compiled import Turn
    from server.query import parse_query

    query = parse_query(b'{"user_id": "u", "context": {"timestamp": 1760000000}}')
    buckets = {query.bucket(turn) for turn in (Turn(), Turn(1), Turn(0, 1))}
    assert len(buckets) == 3
    assert ShopperQuery("u", query.bucket()).bucket in buckets
