"""A model that follows rules: what it never shows, what it always does, on both kinds of rung."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.eventlog import NO_RECORDS
from features.events import RECORD, TYPE_CODES, EventType, Records
from features.ids import NO_HASHES, stable_hashes
from features.moments import Moment
from models.candidates import CANDIDATES
from models.model import Model
from models.parts import Parts
from models.ranker_features import ITEM_STATS, RANKER_FEATURES
from models.reasons import Kind, explained
from models.request import Filters, Listed, RankRequest, Spot
from models.rules.compiled import Turn
from models.rules.declared import Page
from models.rules.parse import parse_rules
from tests.support.bundles import CATEGORIES, indexed_parts, small_parts, whole_towers

ITEMS = 60
DAY_MS = 86_400_000
NOW_MS = 1_000 * DAY_MS
OPEN = Filters(in_stock=False)

Happened = tuple[int, EventType, float] | tuple[int, EventType, float, int]
"""Which row, what, how many days ago, and of a rating the stars: one where it does not say."""
"""Item row, what, and how many days ago."""


def item(row: int) -> str:
    """Return the id of the item in a row."""
    return f"wine-{row:04d}"


@cache
def parts(*, ranked: bool = True) -> Parts:
    """Return parts of some wines; each fifth has been met by nobody."""
    weights = np.isin(RANKER_FEATURES, ("score", "log_price")).astype(np.float32)
    made = small_parts(ITEMS, towers=whole_towers(ITEMS), ranked=ranked, weights=weights)
    assert made.personal is not None
    met = made.personal.item_stats[:, ITEM_STATS.index("log_events")]
    met[:] = np.log1p(np.where(np.arange(ITEMS) % 5, 10, 0))
    return made


def model(rules: str, **told: bool) -> Model:
    """Return a model that follows the rules."""
    made = Model(parts(**told))
    assert made.follow(parse_rules(rules, "rules.yaml")) == []
    return made


def records(*happened: Happened) -> Records:
    """Return events in order of time."""
    made = np.zeros(len(happened), RECORD)
    for number, told in enumerate(sorted(happened, key=lambda each: -each[2])):
        row, kind, days, stars = (*told, 1)[:4]
        value = 100 * stars if kind is EventType.RATING else 0
        ts = NOW_MS - round(days * DAY_MS)
        made[number] = (ts, stable_hashes([item(row)])[0], value, number << 4 | TYPE_CODES[kind])
    return made


def asked(*happened: Happened, k: int = 10, filters: Filters = OPEN, **more: object) -> RankRequest:
    """Return the request of a shopper to whom this happened."""
    made = RankRequest("u", records(*happened), NO_RECORDS, Moment(NOW_MS), k, filters, segment=0)
    return made._replace(**more)  # type: ignore[arg-type]


def turned(made: Model, request: RankRequest, now_ms: int = NOW_MS) -> RankRequest:
    """Return the request in the turn of a moment."""
    turn = made.turn(request.page, request.user_id, now_ms / 1_000)
    return request._replace(turn=turn, moment=Moment(now_ms))


def ranked(made: Model, *requests: RankRequest) -> list[Listed]:
    """Return the lists of one batch."""
    lists = [each.listed for each in made.rank(made.batch(requests))]
    assert None not in lists
    return [each for each in lists if each is not None]


def rungs(made: Model, request: RankRequest) -> Iterator[Listed]:
    """Yield what the model ranks, and what the ladder below gives the same shopper."""
    (shopper,) = made.rank(made.batch([request]))
    assert shopper.listed is not None
    yield shopper.listed
    blocked = np.concatenate((shopper.blocked, request.excluded))
    for segment in range(3):
        spot = Spot(request.page, request.turn, request.user_id)
        yield made.popular(segment, blocked, request.filters, request.k, spot)


LIKED = (1, EventType.CLICK, 1.0)

ALL = """
show: {exclude: {categories: [Sparkling], items: [wine-0012]}}
pins: [{item: wine-0014, position: 1}, {item: wine-0008, position: 3}]
boosts: [{categories: [White], factor: 4}, {items: [wine-0033], factor: 9}]
caps: {default: 3, categories: {Red: 2}}
diversity: 0.4
dislikes: {not_interested: 0.5, low_stars: 0.5, remove_from_cart: 0.5}
rotation: {every: 30m}
explore: {share: 0.2, met_below: 5}
repurchase: {categories: {Red: 30d}}
pages: {home: {caps: null, diversity: 0, rotation: null}, email: {explore: null, pins: null}}
"""

KINDS = (
    EventType.CLICK,
    EventType.PURCHASE,
    EventType.RATING,
    EventType.NOT_INTERESTED,
    EventType.ADD_TO_CART,
    EventType.REMOVE_FROM_CART,
)
EVENTS = st.lists(
    st.tuples(st.integers(0, ITEMS - 1), st.sampled_from(KINDS), st.integers(1, 60)), max_size=12
)
REQUESTS = st.builds(
    lambda events, k, categories, excluded, page, user: asked(
        LIKED,
        *events,
        k=k,
        filters=Filters(categories, in_stock=False),
        excluded=stable_hashes(map(item, excluded)),
        page=page,
        user_id=user,
    ),
    EVENTS.filter(lambda events: all(row != 1 for row, _, _ in events)),
    st.integers(1, ITEMS),
    st.none() | st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=3).map(tuple),
    st.lists(st.integers(0, ITEMS - 1), max_size=40),
    st.sampled_from(Page),
    st.sampled_from(["a", "b", "c"]),
)


def hidden(request: RankRequest) -> set[int]:
    """Return what the rules above and the history forbid, looked at one by one."""
    rows = {row for row in range(ITEMS) if row % 4 == 3 or row == 12}
    gone = set(request.excluded.tolist())
    for row in range(ITEMS):
        of_it = request.recent[request.recent["item"] == stable_hashes([item(row)])[0]]
        kinds = [list(EventType)[tag & 15] for tag in of_it["tag"].tolist()]
        owned = [
            ts
            for ts, kind in zip(of_it["ts"].tolist(), kinds, strict=True)
            if kind in (EventType.PURCHASE, EventType.RATING)
        ]
        moves = [each for each in kinds if each in KINDS[4:]]
        verdicts = [each for each in kinds if each in KINDS[1:3]]  # every rating here is low
        is_liked = verdicts[-1:] == [EventType.PURCHASE]
        is_back = row % 4 == 0 and is_liked and NOW_MS - max(owned) >= 30 * DAY_MS
        if (
            (owned and not is_back)
            or EventType.NOT_INTERESTED in kinds
            or moves[-1:] == [EventType.ADD_TO_CART]
            or int(stable_hashes([item(row)])[0]) in gone
        ):
            rows.add(row)
    categories = request.filters.categories
    if categories is not None:
        rows |= {row for row in range(ITEMS) if CATEGORIES_OF[row] not in categories}
    return rows


CATEGORIES_OF = [CATEGORIES[row % 4] for row in range(ITEMS)]


@pytest.mark.parametrize("ranked_by", ["ranker", "towers"])
@given(REQUESTS)
def test_what_must_not_be_shown_is_not_and_k_items_are_left(
    ranked_by: str, request: RankRequest
) -> None:
    """On every rung, under every rule at once: no hidden item, none twice, all that are asked for.

    What is drawn or pinned is no exception, nor is what a cap left out where nothing else is left.
    """
    made = follower(ranked_by)
    request = turned(made, request)
    allowed = {*range(ITEMS)} - hidden(request)
    for listed in rungs(made, request):
        assert set(listed.rows) <= allowed
        assert len(listed.rows) == len({*listed.rows}) == min(request.k, len(allowed))
        assert len(listed.scores) == len(listed.sources) == len(listed.rows)
        assert len(listed.propensities) in (0, len(listed.rows))
        assert all(0 < each <= 1 for each in listed.propensities)


@cache
def follower(ranked_by: str) -> Model:
    """Return a model that follows all rules at once."""
    return model(ALL, ranked=ranked_by == "ranker")


@settings(max_examples=50)
@given(st.lists(REQUESTS, min_size=1, max_size=6))
def test_a_batch_is_its_requests(requests: list[RankRequest]) -> None:
    """Nobody's list depends on who else asked, on which page, and for how many."""
    made = follower("ranker")
    requests = [turned(made, each) for each in requests]
    together = ranked(made, *requests)
    for request, listed in zip(requests, together, strict=True):
        (alone,) = ranked(made, request)
        assert listed.rows == alone.rows
        assert listed.sources == alone.sources
        assert listed.scores == pytest.approx(alone.scores, abs=1e-4)
        assert list(listed.propensities) == pytest.approx(list(alone.propensities), abs=1e-5)


def test_a_large_catalogue_keeps_them_too() -> None:
    """Where an index finds the candidates, what a page never shows is not among them."""
    made = Model(indexed_parts(200))
    made.follow(parse_rules("show: {exclude: {categories: [Red, White]}}", "r"))
    assert made._personal is not None
    made._personal._retrieval.is_exact = False
    (listed,) = ranked(made, asked(LIKED, k=40))
    assert len(listed.rows) == 40
    assert {row % 4 for row in listed.rows} == {2, 3}


def test_similar_and_popular_items_keep_them_too() -> None:
    """Lists that belong to no shopper show nothing that a shop never shows."""
    made = model("show: {exclude: {categories: [Red]}}")
    for rows in (
        made.similar(1, 20, OPEN).rows,
        made.popular(0, NO_HASHES, OPEN, 20).rows,
    ):
        assert len(rows) == 20
        assert 0 not in {row % 4 for row in rows}


def test_what_was_listed_before_the_rules_is_listed_anew() -> None:
    """For who owns something, too, whose popular items come from a list that is kept."""
    made = Model(parts())
    owned = stable_hashes([item(1)])
    red = {item(row) for row in range(0, ITEMS, 4)}

    def shown() -> set[str]:
        told = json.loads(made.popular_json(0, owned, Filters(), 20))
        return {each["item_id"] for each in told}

    assert shown() & red
    made.follow(parse_rules("show: {exclude: {categories: [Red]}}", "r"))
    assert len(shown()) == 20
    assert not shown() & red


@pytest.mark.parametrize("name", ["in_stock: true", "price_max: 40", "categories: [Red, Rosé]"])
def test_what_a_page_shows_at_all(name: str) -> None:
    """Stock, price and category, whatever the request lets through."""
    made = model(f"show: {{{name}}}")
    table = parts().items
    good = {
        "in_stock: true": table.in_stock,
        "price_max: 40": table.price <= 40,
        "categories: [Red, Rosé]": np.arange(ITEMS) % 4 % 2 == 0,
    }[name]
    for listed in rungs(made, asked(LIKED, k=ITEMS)):
        assert {*listed.rows} == {*np.flatnonzero(good).tolist()}


# Pins, boosts, caps


def test_pinned_items_stand_in_their_places() -> None:
    """As long as they may be shown, and their date has come."""
    made = model(
        "pins: [{item: wine-0014, position: 1}, {item: wine-0008, position: 3},"
        " {item: wine-0009, position: 50}, {item: wine-0010, position: 2, from: 2030-01-01}]"
    )
    for listed in rungs(made, turned(made, asked(LIKED))):
        assert (listed.rows[0], listed.rows[2]) == (14, 8)
        assert [explained(source)[0] for source in (listed.sources[0], listed.sources[2])] == [
            Kind.PINNED,
            Kind.PINNED,
        ]
    for listed in rungs(made, turned(made, asked(LIKED, (14, EventType.PURCHASE, 2.0)))):
        assert 14 not in listed.rows
        assert listed.rows[2] == 8
        assert len(listed.rows) == 10
    new_year = 1_893_456_000_000
    for listed in rungs(made, turned(made, asked(LIKED), new_year)):
        assert listed.rows[1] == 10
    for listed in rungs(made, turned(made, asked(LIKED), new_year - 1)):
        assert listed.rows[1] != 10


def test_boosted_items_come_up_while_it_lasts() -> None:
    """From beyond the candidates, too; it says so where nothing else brought the item up."""
    rules = "boosts: [{items: [wine-0033], factor: 100, until: 2030-01-01}]"
    new_year = 1_893_456_000_000
    made = model(rules)
    for before, after in zip(
        rungs(made, turned(made, asked(LIKED, k=3), new_year - 1)),
        rungs(made, turned(made, asked(LIKED, k=3), new_year)),
        strict=True,
    ):
        assert before.rows[0] == 33
        assert before.rows[1:] == [row for row in after.rows if row != 33][:2]
        is_promoted = explained(before.sources[0])[0] is Kind.PROMOTED
        assert is_promoted == (33 not in after.rows)


def test_what_only_a_boost_brought_beside_pins_says_so() -> None:
    """Pins leave fewer places: what score alone would not have brought into those is promoted."""
    pins = ", ".join(f"{{item: {item(row)}, position: {row + 1}}}" for row in range(4))
    plain = model(f"pins: [{pins}]")
    made = model(f"boosts: [{{categories: [White], factor: 4}}]\npins: [{pins}]")
    brought = 0
    for before, after in zip(rungs(plain, asked(LIKED)), rungs(made, asked(LIKED)), strict=True):
        kinds = dict(zip(after.rows, [explained(each)[0] for each in after.sources], strict=True))
        new = {*after.rows} - {*before.rows}
        assert {row for row, kind in kinds.items() if kind is Kind.PROMOTED} == new
        brought += len(new)
    assert brought


def test_a_factor_below_one_takes_down() -> None:
    """What a shop wants to show less is behind what it was before."""
    request = asked(LIKED, k=ITEMS)
    (before,) = ranked(Model(parts()), request)
    first = before.rows[0]
    (after,) = ranked(model(f"boosts: [{{items: [{item(first)}], factor: 0.1}}]"), request)
    assert 3 < after.rows.index(first) < ITEMS - 1


def test_what_fills_a_list_up_has_no_score_among_what_was_ranked() -> None:
    """Popularity has another measure than the order of candidates; what it ranks low is no hit."""
    made = Model(small_parts(4 * CANDIDATES, towers=whole_towers(4 * CANDIDATES)))
    made.follow(parse_rules("caps: {default: 0, categories: {White: 100}}", "r"))
    (listed,) = ranked(made, turned(made, asked(LIKED, k=CANDIDATES)))
    kinds = [explained(source)[0] for source in listed.sources]
    first = len(listed.rows) - kinds[::-1].index(Kind.BECAUSE_YOU_VIEWED)
    assert {row % 4 for row in listed.rows} == {1}
    assert len(listed.rows) > first
    assert not any(listed.scores[first:])
    assert {*kinds[first:]} == {None, Kind.IN_RANGE}
    assert all(listed.scores[:first])


def test_what_is_over_a_cap_stands_in_the_order_of_the_shopper() -> None:
    """Where a request asks for one category, whoever has tastes gets no popular items for a cap."""
    capped, plain = model("caps: {default: 3}"), Model(parts())
    request = asked(LIKED, filters=Filters(("Red",), in_stock=False))
    for after, before in zip(rungs(capped, request), rungs(plain, request), strict=True):
        assert after[:3] == before[:3]
    (after,), (before,) = (ranked(made, asked(LIKED, k=20)) for made in (capped, plain))
    under, over = after.rows[:12], after.rows[12:]
    assert over == [row for row in before.rows if row not in under][:8]


@pytest.mark.parametrize(
    "rule",
    [
        "dislikes: {not_interested: 1.0}",
        "boosts: [{items: [wine-0016, wine-0020, wine-0048], factor: 0.1}]",
        "boosts: [{items: [wine-0012, wine-0016, wine-0032, wine-0056], factor: 50}]",
    ],
)
def test_what_is_over_a_cap_stands_by_the_other_rules(rule: str) -> None:
    """What a full category leaves out neither comes up again nor hides who put it there."""
    capped, plain = model(f"caps: {{default: 2}}\n{rule}"), model(rule)
    refused = (4, EventType.NOT_INTERESTED, 0.5)
    request = asked(LIKED, refused, filters=Filters(("Red",), in_stock=False))
    for after, before in zip(rungs(capped, request), rungs(plain, request), strict=True):
        assert after.rows == before.rows
        assert after.sources == before.sources


def test_caps_hold_as_long_as_there_is_anything_else() -> None:
    """No more of a category than its cap, then as many as k needs."""
    made = model("caps: {default: 3, categories: {Red: 1}}")
    for listed in rungs(made, asked(LIKED, k=10)):
        counts = Counter(CATEGORIES_OF[row] for row in listed.rows)
        assert counts["Red"] == 1
        assert max(counts.values()) == 3
    for listed in rungs(made, asked(LIKED, k=14)):
        assert len(listed.rows) == 14
        counts = Counter(CATEGORIES_OF[row] for row in listed.rows[:10])
        assert (counts["Red"], max(counts.values())) == (1, 3)


def test_what_has_a_place_keeps_it_where_caps_leave_a_list_short() -> None:
    """Others fill up what is before it; where there is nothing to fill with, it moves up."""
    pins = "pins: [{item: wine-0008, position: 8}]\nexplore: {share: 0.2, met_below: 5}"
    made = model(f"caps: {{default: 2}}\n{pins}")
    reds = Filters(("Red",), in_stock=False)
    for k, place in ((10, 7), (ITEMS, 7)):
        for listed in rungs(made, turned(made, asked(LIKED, k=k, filters=reds))):
            assert listed.rows.index(8) == place
            assert explained(listed.sources[place])[0] is Kind.PINNED
            chances = dict(zip(listed.rows, listed.propensities, strict=True))
            assert {row for row, chance in chances.items() if chance < 1} == {*explored(listed)}
    few = stable_hashes(item(row) for row in range(12, ITEMS))
    for listed in rungs(made, turned(made, asked(LIKED, filters=reds, excluded=few))):
        assert listed.rows[-1] == 8
        assert len(listed.rows) == 3


# What the shopper told


def test_what_was_bought_comes_back_after_its_window() -> None:
    """By category; gear never; and not what was refused, is rated low, or is in the basket."""
    made = model("repurchase: {default: never, categories: {Red: 30d}}")
    bought, late = EventType.PURCHASE, 31.0
    back = ranked(made, asked(LIKED, (4, bought, late), k=ITEMS))[0]
    assert 4 in back.rows
    assert explained(back.sources[back.rows.index(4)])[0] is Kind.BUY_AGAIN
    rated = (0, EventType.RATING, late, 4), (8, EventType.RATING, 50.0, 4)
    told = ranked(made, asked(LIKED, (4, bought, late), *rated, (8, bought, late), k=ITEMS))
    kinds = dict(zip(told[0].rows, [explained(each)[0] for each in told[0].sources], strict=True))
    assert (kinds[4], kinds[0], kinds[8]) == (Kind.BUY_AGAIN, Kind.RATED_BEFORE, Kind.BUY_AGAIN)
    for happened in (
        [(4, bought, 29.0)],
        [(5, bought, 300.0)],
        [(4, bought, late), (4, bought, 2.0)],
        [(4, bought, late), (4, EventType.NOT_INTERESTED, 20.0)],
        [(4, EventType.NOT_INTERESTED, 90.0), (4, bought, late)],
        [(4, bought, 60.0), (4, EventType.RATING, late)],
        [(4, bought, late), (4, EventType.ADD_TO_CART, 1.0)],
    ):
        for listed in rungs(made, asked(LIKED, *happened, k=ITEMS)):
            assert not {4, 5} <= {*listed.rows}
            assert happened[0][0] not in listed.rows
    gone = [(4, bought, late), (4, EventType.ADD_TO_CART, 2.0), (4, EventType.REMOVE_FROM_CART, 1)]
    paid = [(4, EventType.CLICK, 32.0), (4, EventType.ADD_TO_CART, 32.0), (4, bought, late)]
    for happened in (gone, paid):
        assert 4 in ranked(made, asked(LIKED, *happened, k=ITEMS))[0].rows


def test_what_comes_back_is_told_as_that_wherever_it_stands() -> None:
    """Ranked, or behind what caps leave, where what is popular fills the list up."""
    made = model("repurchase: {default: 30d}\ncaps: {default: 1}")
    owned = [(row, EventType.PURCHASE, 40.0) for row in range(2, 40)]
    (listed,) = ranked(made, asked(LIKED, *owned, k=ITEMS))
    told = dict(zip(listed.rows, map(explained, listed.sources), strict=True))
    assert len(told) == ITEMS
    assert {row for row, (kind, _) in told.items() if kind is Kind.BUY_AGAIN} == {*range(2, 40)}


@pytest.mark.parametrize(
    ("kind", "weight"),
    [
        (EventType.NOT_INTERESTED, "not_interested"),
        (EventType.RATING, "low_stars"),
        (EventType.REMOVE_FROM_CART, "remove_from_cart"),
    ],
)
def test_what_is_like_a_disliked_item_falls_at_once(kind: EventType, weight: str) -> None:
    """In the very next list; without the rule it stays where it was."""
    disliked, alike = 0, 8
    towers = whole_towers(ITEMS)
    towers.outputs[alike] = towers.outputs[disliked]
    made = [Model(small_parts(ITEMS, towers=towers, ranked=False)) for _ in range(2)]
    made[1].follow(parse_rules(f"dislikes: {{{weight}: 1}}", "r"))
    liked = (2, EventType.PURCHASE, 5.0)
    request = asked(liked, (disliked, kind, 1.0), k=ITEMS)
    before, after = (ranked(each, request)[0].rows.index(alike) for each in made)
    assert after > before or after >= ITEMS - 5
    again = asked(liked, (disliked, kind, 2.0), (disliked, EventType.ADD_TO_CART, 1.0), k=ITEMS)
    if kind is EventType.REMOVE_FROM_CART:  # put in again, it is not disliked
        one, other = (ranked(each, again)[0].rows for each in made)
        assert one == other


def test_events_weigh_what_the_shop_says() -> None:
    """A click that says nothing leaves nothing to rank by; one as good as a purchase ranks so."""
    click, purchase = (1, EventType.CLICK, 1.0), (2, EventType.PURCHASE, 2.0)
    silent = model("weights: {click: 0}", ranked=False)
    assert silent.rank(silent.batch([asked(click)]))[0].listed is None
    loud = model("weights: {click: 1, purchase: 0.3}", ranked=False)
    plain = Model(parts(ranked=False))
    (told_loud,) = ranked(loud, asked(click, purchase))
    swapped = asked(
        (1, EventType.PURCHASE, 1.0), (2, EventType.CLICK, 2.0), excluded=stable_hashes([item(2)])
    )
    (told_plain,) = ranked(plain, swapped)
    assert [row for row in told_loud.rows if row not in (1, 2)][:5] == [
        row for row in told_plain.rows if row not in (1, 2)
    ][:5]


# Variety, rotation, exploration


def similarity(rows: Sequence[int]) -> float:
    """Return the mean cosine within a list."""
    personal = parts().personal
    assert personal is not None
    some = personal.outputs[list(rows)]
    some = some / np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-9)
    cosines = some @ some.T
    return float((cosines.sum() - len(rows)) / (len(rows) * (len(rows) - 1)))


def test_variety_makes_lists_less_alike_within() -> None:
    """The more of it, the less alike; none is the order as it was ranked."""
    request = asked((1, EventType.PURCHASE, 1.0), (6, EventType.PURCHASE, 2.0))
    lists = [ranked(model(f"diversity: {each}"), request)[0].rows for each in (0, 0.3, 0.9)]
    assert lists[0] == ranked(Model(parts()), request)[0].rows
    assert similarity(lists[0]) > similarity(lists[1]) > similarity(lists[2])


def test_a_list_is_another_in_the_next_slot() -> None:
    """Within a slot it is the same; slots of shoppers begin apart; both rungs rotate."""
    made = model("rotation: {every: 30m}")
    request = asked(LIKED)
    moments = [NOW_MS + minute * 60_000 for minute in range(0, 180, 10)]
    turns = [turned(made, request, moment).turn for moment in moments]
    assert 6 <= len({*turns}) <= 7
    by_turn: dict[tuple[Turn, int], list[int]] = {}
    for turn in turns:
        for rung, listed in enumerate(rungs(made, request._replace(turn=turn))):
            assert by_turn.setdefault((turn, rung), listed.rows) == listed.rows
    for rung in range(4):
        assert len({tuple(by_turn[turn, rung]) for turn in turns}) == len({*turns})
    others = {made.turn(Page.OTHER, f"u{n}", NOW_MS / 1_000 + 900).slot for n in range(50)}
    assert len(others) == 2


def test_new_items_have_their_share_of_places() -> None:
    """One of ten places here; which and where differs; drawn with the probability that is told."""
    made = model("explore: {share: 0.15, met_below: 5, every: 30m}")
    shown: Counter[int] = Counter()
    places: Counter[int] = Counter()
    count = 0
    turns = 600
    for slot in range(turns):
        request = turned(made, asked(LIKED), NOW_MS + slot * 1_800_000)
        for listed in [next(rungs(made, request))]:
            kinds = [explained(source)[0] for source in listed.sources]
            new = [place for place, kind in enumerate(kinds) if kind is Kind.EXPLORE]
            count += len(new)
            shown.update(listed.rows[place] for place in new)
            places.update(new)
            assert {listed.rows[place] % 5 for place in new} <= {0}
            assert [listed.propensities[place] for place in new] == pytest.approx(
                [1.5 / 12] * len(new)
            )
            rest = {each for place, each in enumerate(listed.propensities) if place not in new}
            assert rest == {1.0}
    assert count / turns == pytest.approx(1.5, abs=0.1)
    assert len(shown) == 12  # each of those that nobody met
    assert len(places) == 10
    assert max(shown.values()) < 2 * min(shown.values())


def explored(listed: Listed) -> dict[int, float]:
    """Return the new items that have a place of their own in a list, each with its propensity."""
    told = zip(listed.rows, listed.sources, listed.propensities, strict=True)
    return {row: chance for row, source, chance in told if explained(source)[0] is Kind.EXPLORE}


@pytest.mark.parametrize(
    ("share", "k", "rules"),
    [
        (0.1, 4, ""),
        (0.3, 10, ""),
        (0.25, 10, "caps: {default: 1}"),
        (0.3, 10, "caps: {categories: {Red: 0, White: 2}}\npins: [{item: wine-0002, position: 1}]"),
    ],
)
def test_a_new_item_is_in_lists_as_often_as_is_told(share: float, k: int, rules: str) -> None:
    """Of all lists, those without any new item as well, with or without caps."""
    made = model(f"explore: {{share: {share}, met_below: 5, every: 30m}}\n{rules}")
    turns = 1_500
    shown: Counter[int] = Counter()
    told: dict[int, float] = {}
    for slot in range(turns):
        request = turned(made, asked(LIKED, k=k), NOW_MS + slot * 1_800_000)
        new = explored(ranked(made, request)[0])
        shown.update([*new])
        told |= new
    for row, chance in told.items():
        assert shown[row] / turns == pytest.approx(chance, abs=4 * (chance / turns) ** 0.5)
    assert sum(told.values()) == pytest.approx(share * k)


@pytest.mark.parametrize("names", [["Red"], CATEGORIES])
def test_what_is_new_and_boosted_is_drawn_as_well(names: Sequence[str]) -> None:
    """As probably as other new items, whichever are boosted, on every rung."""
    boosts = f"boosts: [{{categories: {json.dumps([*names])}, factor: 1.1}}]"
    made = model(f"explore: {{share: 0.5, met_below: 5, every: 30m}}\n{boosts}")
    shown = set[int]()
    for slot in range(60):
        request = turned(made, asked(LIKED), NOW_MS + slot * 1_800_000)
        for listed in rungs(made, request):
            told = explored(listed)
            assert [*told.values()] == pytest.approx([5 / 12] * 5)
            shown |= told.keys()
    assert len(shown) == 12


def test_no_draw_of_new_items_breaks_a_cap() -> None:
    """Nor do they beside what is pinned."""
    made = model(
        "explore: {share: 0.5, met_below: 5, every: 30m}\npins: [{item: wine-0002, position: 1}]\n"
        "caps: {default: 2, categories: {Red: 0, Rosé: 1, White: 1}}"
    )
    assert CATEGORIES_OF[2] == "Rosé"
    for slot in range(100):
        request = turned(made, asked(LIKED, k=6), NOW_MS + slot * 1_800_000)
        for listed in rungs(made, request):
            counts = Counter(CATEGORIES_OF[row] for row in explored(listed))
            assert counts["Red"] == counts["Rosé"] == 0
            assert (counts["White"], counts["Sparkling"]) <= (1, 2)


def test_rotation_and_new_items_have_slots_of_their_own() -> None:
    """What is drawn once a week is not drawn anew each hour, since new items are."""
    made = model("rotation: {every: 7d}\nexplore: {share: 0.2, met_below: 5, every: 1h}")
    turns = [turned(made, asked(LIKED), NOW_MS + hour * 3_600_000).turn for hour in range(12)]
    assert len({turn.slot for turn in turns}) == 1
    assert len({turn.new_slot for turn in turns}) == 12
    lists = [next(rungs(made, asked(LIKED, turn=turn))) for turn in turns]
    assert len({tuple(each.rows) for each in lists}) > 6


def test_the_ladder_explores_as_well() -> None:
    """A stranger's list has new items, too."""
    made = model("explore: {share: 0.5, met_below: 5}")
    listed = made.popular(0, NO_HASHES, OPEN, 10, Spot(user_id="stranger"))
    kinds = [explained(source)[0] for source in listed.sources]
    assert kinds.count(Kind.EXPLORE) == 5
    assert [each for each in listed.propensities if each < 1] == pytest.approx([5 / 12] * 5)


# Rules and models


def test_what_a_model_does_not_know_is_told() -> None:
    """By name, and the rest holds."""
    made = Model(parts())
    warnings = made.follow(
        parse_rules(
            "pins: [{item: gone, position: 1}]\n"
            "boosts: [{items: [wine-0001, lost], categories: [Cider], factor: 2}]\n"
            "caps: {categories: {Beer: 1}}\n"
            "repurchase: {categories: {Gear: never}}\n"
            "show: {exclude: {items: [absent], categories: [Soap]}}",
            "r",
        )
    )
    assert sorted(warnings) == [
        "the model has no category 'Beer': rules on it do nothing",
        "the model has no category 'Cider': rules on it do nothing",
        "the model has no category 'Gear': rules on it do nothing",
        "the model has no category 'Soap': rules on it do nothing",
        "the model has no item 'absent': rules on it do nothing",
        "the model has no item 'gone': rules on it do nothing",
        "the model has no item 'lost': rules on it do nothing",
    ]
    assert len(ranked(made, asked(LIKED))[0].rows) == 10


def test_what_holds_now_and_next_is_made_before_it_serves() -> None:
    """For pages that are alike once; what begins later is made when it does."""
    compiled = follower("ranker")._rules
    assert compiled is not None
    assert len(compiled._made) == 3  # home, e-mail, all others
    dates = "".join(
        f"  - {{factor: 2, items: [wine-0001], from: {year}-01-01}}\n" for year in range(2090, 2099)
    )
    dated = model(f"boosts:\n{dates}")._rules
    assert dated is not None
    assert len(dated._made) == 2


def test_without_a_personal_part_the_ladder_follows_rules() -> None:
    """Pins, caps and what is never shown hold; variety needs factors, and is left out."""
    made = Model(small_parts(ITEMS, personal=False))
    rules = "pins: [{item: wine-0014, position: 1}]\ncaps: {default: 3}\ndiversity: 0.5"
    made.follow(parse_rules(rules, "r"))
    listed = made.popular(0, NO_HASHES, OPEN, 12, Spot())
    assert listed.rows[0] == 14
    assert max(Counter(CATEGORIES_OF[row] for row in listed.rows).values()) == 3


def test_a_list_that_depends_on_nobody_is_written_once() -> None:
    """And apart for each page and phase; where chance decides, for each crowd of shoppers."""
    made = model("caps: {default: 3}\npages: {home: {rotation: {every: 30m}}}")
    one, other = (
        made.ladder(0, NO_HASHES, OPEN, 5, Spot(user_id=user)) for user in ("one", "other")
    )
    assert one is other
    lists = {
        made.ladder(0, NO_HASHES, OPEN, 5, Spot(Page.HOME, user_id=f"{number}")).items
        for number in range(100)
    }
    assert 4 <= len(lists) <= 8


def test_rules_are_in_what_a_list_is_true_for() -> None:
    """A cached list of other rules, or of none, is not believed."""
    stamps = {model(each).stamp for each in ("diversity: 0.1", "diversity: 0.2")}
    assert len(stamps | {Model(parts()).stamp}) == 3


def test_a_further_page_is_drawn_anew() -> None:
    """Chance of a page says nothing of the next one's, in one slot and for one shopper."""
    made = model("rotation: {every: 30m, strength: 1}")
    turns = [turned(made, asked(LIKED)).turn._replace(after=after) for after in range(0, 60, 10)]
    lists = [[told.rows for told in rungs(made, asked(LIKED, turn=turn))] for turn in turns]
    for rung in zip(*lists, strict=True):
        assert len({*map(tuple, rung)}) == len(turns)
