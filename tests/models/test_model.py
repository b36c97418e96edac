"""The model against plain Python: what it ranks, what it never shows, what it survives.

Factors are small integers and grades halves, so scores are exact and ties are real.
"""

import gc
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.eventlog import NO_RECORDS
from features.events import RECORD, TYPE_CODES, EventType, Records
from features.history import tastes_of
from features.ids import NO_HASHES, Hashes, stable_hash, stable_hashes
from features.moments import Moment
from models import candidates
from models.bundle import read_bundle, write_bundle
from models.candidates import best
from models.errors import ModelsError
from models.item_table import Texts
from models.model import Model
from models.parts import Parts
from models.ranker_features import RANKER_FEATURES
from models.reasons import IN_RANGE, POPULAR, Kind, because, explained, popular_in
from models.request import Filters, Listed, Ranking, RankRequest
from models.rules.parse import parse_rules
from tests.support.bundles import CATEGORIES, SEGMENT_NAMES, small_parts, whole_towers
from tests.support.histories import clicks

ITEMS = 40
UNKNOWN = 4
"""Rows from `ITEMS` on stand for items that no model knows."""

KINDS = {
    "bought": (EventType.PURCHASE, 0),
    "rated": (EventType.RATING, 350),
    "rated low": (EventType.RATING, 200),
    "refused": (EventType.NOT_INTERESTED, 0),
    "seen": (EventType.IMPRESSION, 0),
}


@cache
def plain() -> tuple[Parts, Model]:
    """Return a model without a ranker."""
    parts = small_parts(ITEMS, towers=whole_towers(ITEMS), ranked=False)
    return parts, Model(parts)


@cache
def by_price() -> tuple[Parts, Model]:
    """Return a model whose ranker goes by one number of an item."""
    weights = (np.array(RANKER_FEATURES) == "log_price").astype(np.float32)
    parts = small_parts(ITEMS, towers=whole_towers(ITEMS), weights=weights)
    return parts, Model(parts)


def item(row: int) -> str:
    """Return the id of the item in a row."""
    return f"wine-{row:04d}"


def hashes(rows: Sequence[int]) -> Hashes:
    """Return the hashes of the items in rows."""
    return stable_hashes(item(row) for row in rows)


def records(events: Sequence[tuple[int, str]]) -> Records:
    """Return events of a millisecond each: (item row, a name of `KINDS`)."""
    made = np.zeros(len(events), RECORD)
    made["ts"] = np.arange(len(events))
    made["item"] = hashes([row for row, _ in events])
    made["value"] = [KINDS[kind][1] for _, kind in events]
    made["tag"] = [TYPE_CODES[KINDS[kind][0]] for _, kind in events]
    return made


def asked(
    *events: tuple[int, str],
    blocked: Sequence[int] = (),
    k: int = 10,
    segment: int | None = 0,
    filters: Filters | None = None,
) -> RankRequest:
    """Return a request of a shopper with these events."""
    moment = Moment(10_000)
    open_to_all = filters or Filters(in_stock=False)
    return RankRequest(
        "nobody", records(events), NO_RECORDS, moment, k, open_to_all, hashes(blocked), segment
    )


def rank(model: Model, *requests: RankRequest) -> list[Listed | None]:
    """Return what is listed for each request of one batch."""
    return [each.listed for each in model.rank(model.batch(requests))]


ROWS = st.integers(0, ITEMS + UNKNOWN - 1)
PRICES = st.none() | st.sampled_from(plain()[0].items.price.tolist()) | st.floats(0, 100)
FILTERS = st.builds(
    Filters,
    categories=st.none() | st.lists(st.sampled_from(CATEGORIES), max_size=3).map(tuple),
    price_min=PRICES,
    price_max=PRICES,
    in_stock=st.booleans(),
)
EVENTS = st.lists(st.tuples(ROWS, st.sampled_from(sorted(KINDS))), max_size=80)
BLOCKED = st.lists(ROWS, max_size=30)
REQUESTS = st.builds(
    lambda events, blocked, k, segment, filters: asked(
        *events, blocked=blocked, k=k, segment=segment, filters=filters
    ),
    EVENTS,
    BLOCKED,
    st.integers(1, ITEMS + 5),
    st.integers(0, len(SEGMENT_NAMES) - 1),
    FILTERS,
)


def allowed_rows(parts: Parts, blocked: Sequence[int], filters: Filters) -> list[int]:
    """Return the rows that may be shown, looked at one by one."""
    items, rows = parts.items, []
    for row in range(len(items)):
        price = items.price[row]
        if blocked and stable_hash(item(row)) in blocked:
            continue
        if filters.in_stock and not items.in_stock[row]:
            continue
        category = items.categories[items.category[row]]
        if filters.categories is not None and category not in filters.categories:
            continue
        if filters.price_min is not None and not price >= np.float32(filters.price_min):
            continue
        if filters.price_max is not None and not price <= np.float32(filters.price_max):
            continue
        rows.append(row)
    return rows


def graded_rows(request: RankRequest) -> list[tuple[int, float]]:
    """Return (row, grade) of the graded items that the model knows, latest last."""
    rows = {stable_hash(item(row)): row for row in range(ITEMS)}
    tastes = tastes_of(request.recent, np.zeros(len(request.recent), np.int64))
    told = zip(tastes.graded.tolist(), tastes.grades.tolist(), strict=True)
    return [(rows[each], grade) for each, grade in told if each in rows]


def forbidden(request: RankRequest) -> list[int]:
    """Return the hashes of what must not be shown, by the history or by the request."""
    tastes = tastes_of(request.recent, np.zeros(len(request.recent), np.int64))
    return [*tastes.blocked.tolist(), *request.excluded.tolist()]


def affinity(parts: Parts, source: int, row: int) -> float:
    """Return what having liked one item says of another."""
    assert parts.personal is not None
    told = zip(parts.personal.inputs[source], parts.personal.outputs[row], strict=True)
    return sum(float(one) * float(other) for one, other in told)


def source(parts: Parts, request: RankRequest, row: int) -> int:
    """Return what speaks for an item."""
    told = [
        (grade * affinity(parts, source, row), source)
        for source, grade in graded_rows(request)
        if source != row
    ]
    loudest = max(told, key=lambda each: each[0], default=(0.0, -1))
    if loudest[0] > 0:
        return because(kind_of(request, loudest[1]), loudest[1])
    return popular_or_not(parts, request.segment or 0, row)


def popular_or_not(parts: Parts, segment: int, row: int) -> int:
    """Return that an item sells no less than the mean, in a segment, with everybody, or neither."""
    for told in (segment, 0):
        popularity = parts.segments.popularity[told]
        if popularity[row] >= popularity.mean():
            return popular_in(told)
    return IN_RANGE


def kind_of(request: RankRequest, row: int) -> Kind:
    """Return what the best of a shopper's events on an item was: bought, or else rated."""
    events = request.recent[request.recent["item"] == stable_hash(item(row))]
    bought = (events["tag"] & 15 == TYPE_CODES[EventType.PURCHASE]).any()
    return Kind.BECAUSE_YOU_BOUGHT if bought else Kind.BECAUSE_YOU_RATED


def ranking(parts: Parts, request: RankRequest) -> Listed | None:
    """Return what a model without a ranker should answer."""
    history = graded_rows(request)
    if not history:
        return None
    rows = allowed_rows(parts, forbidden(request), request.filters)
    scores = {
        row: sum(grade * affinity(parts, source, row) for source, grade in history) for row in rows
    }
    best = sorted(rows, key=lambda row: (-scores[row], row))[: request.k]
    return Listed(
        best, [scores[row] for row in best], [source(parts, request, row) for row in best]
    )


@given(st.lists(REQUESTS, min_size=1, max_size=5))
def test_ranking_is_what_plain_python_ranks(requests: list[RankRequest]) -> None:
    """Items, scores, reasons and ties: as computed item by item."""
    parts, model = plain()
    assert rank(model, *requests) == [ranking(parts, request) for request in requests]


@given(REQUESTS)
def test_a_reason_is_true(request: RankRequest) -> None:
    """Without the item that is named, what it speaks for has a lower score, or none."""
    _, model = plain()
    (listed,) = rank(model, request._replace(k=ITEMS))
    for row, score, why in zip(*(listed or Listed([], [], []))[:3], strict=True):
        kind, named = explained(why)
        if kind is None or kind is Kind.IN_RANGE:
            continue
        assert kind is kind_of(request, named)
        assert named != row
        others = request.recent[request.recent["item"] != stable_hash(item(named))]
        (without,) = rank(model, request._replace(recent=others, k=ITEMS))
        if without is not None and row in without.rows:
            assert without.scores[without.rows.index(row)] < score


@pytest.mark.parametrize("row", range(8))
def test_what_was_looked_at_speaks_for_itself(row: int) -> None:
    """With nothing but a look at an item, its own place in the list has no other reason."""
    parts, model = plain()
    seen = clicks(row + 1)[row:]
    (listed,) = rank(model, RankRequest("u", seen, NO_RECORDS, Moment(1_000), ITEMS))
    assert listed is not None
    if row in listed.rows:
        speaks = affinity(parts, row, row) > 0
        told = because(Kind.VIEWED_BEFORE) if speaks else popular_or_not(parts, 0, row)
        assert listed.sources[listed.rows.index(row)] == told


@given(REQUESTS)
def test_the_ranker_orders_what_the_scorer_chose(request: RankRequest) -> None:
    """Where there is a ranker, the order and the scores are its own."""
    parts, model = by_price()
    assert parts.personal is not None
    numbers = parts.personal.item_stats[:, -1]
    expected = ranking(parts, request._replace(k=ITEMS))
    (ranked,) = rank(model, request)
    if expected is None:
        assert ranked is None
        return
    rows = sorted(expected.rows, key=lambda row: -numbers[row])[: request.k]
    assert ranked == Listed(
        rows,
        [float(numbers[row]) for row in rows],
        [source(parts, request, row) for row in rows],
    )


@given(st.lists(REQUESTS, min_size=1, max_size=8))
def test_a_batch_is_its_requests(requests: list[RankRequest]) -> None:
    """Nobody's answer depends on who else asked."""
    for _, model in (plain(), by_price()):
        assert rank(model, *requests) == [rank(model, request)[0] for request in requests]


@given(st.integers(0, len(SEGMENT_NAMES) - 1), BLOCKED, FILTERS, st.integers(0, ITEMS + 5))
def test_popular_is_the_segment_then_everybody(
    segment: int, blocked: list[int], filters: Filters, k: int
) -> None:
    """What the segment bought in order, then what everybody did, k as long as k are allowed."""
    parts, model = plain()
    popularity = parts.segments.popularity.tolist()
    rows = allowed_rows(parts, hashes(blocked).tolist(), filters)
    own = [row for row in rows if segment and popularity[segment][row] > 0]
    own.sort(key=lambda row: (-popularity[segment][row], row))
    rest = sorted({*rows} - {*own}, key=lambda row: (-popularity[0][row], row))
    expected = [
        *((row, popularity[segment][row], popular_or_not(parts, segment, row)) for row in own),
        *((row, popularity[0][row], popular_or_not(parts, 0, row)) for row in rest),
    ]
    told = model.popular(segment, hashes(blocked), filters, k)
    assert list(zip(*told[:3], strict=True)) == expected[:k]
    assert model.popular_json(segment, hashes(blocked), filters, k) == model.json(told)


@given(st.integers(0, ITEMS - 1), st.integers(1, ITEMS), FILTERS)
def test_similar_items_point_the_same_way(row: int, k: int, filters: Filters) -> None:
    """The nearest first, without the item itself, and only what is allowed."""
    parts, model = plain()
    assert parts.personal is not None
    outputs = parts.personal.outputs.astype(np.float64)
    outputs /= np.linalg.norm(outputs, axis=1, keepdims=True)
    told = model.similar(row, k, filters)
    rows = {*allowed_rows(parts, [], filters)} - {row}
    assert len(told.rows) == len({*told.rows}) == min(k, len(rows))
    assert {*told.rows} <= rows
    for score, source in zip(told.scores, told.sources, strict=True):
        assert source == (row if score > 0 else IN_RANGE)
    nearest = sorted((outputs[list(rows)] @ outputs[row]).tolist(), reverse=True)[:k]
    assert told.scores == pytest.approx(nearest, abs=1e-5)


TINY = float(np.float32(1e-40))


@pytest.mark.parametrize("at_once", [0, 1 << 13], ids=["folded", "at once"])
@given(st.integers(1, 80), st.integers(1, 5), st.integers(1, 90), st.data())
def test_the_best_are_chosen_as_sorting_would(
    at_once: int, columns: int, shoppers: int, count: int, data: st.DataObject
) -> None:
    """However many tie for the last place, the first rows win it; nothing is equal to less."""
    score = st.sampled_from([-np.inf, -3.5, -1.0, -0.0, 0.0, TINY, 2.0, np.inf])
    row = st.lists(score, min_size=columns, max_size=columns)
    values = data.draw(st.lists(row, min_size=shoppers, max_size=shoppers))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "_AT_ONCE", at_once)
        rows, scores = best(np.array(values, np.float32), count)
    for told, got, of in zip(values, rows.tolist(), scores.tolist(), strict=True):
        expected = sorted(range(columns), key=lambda row: (-told[row], row))[:count]
        assert got == expected
        assert of == [told[row] for row in expected]


@settings(max_examples=20)
@given(st.sets(st.integers(0, 4_999), max_size=60), st.integers(1, 100))
def test_popular_looks_as_far_as_it_must(blocked: set[int], k: int) -> None:
    """In a large catalogue too there are k items, the most popular that are allowed."""
    parts, model = large()
    order = np.argsort(-parts.segments.popularity[0], kind="stable").tolist()
    blocked |= {*order[: 3 * k]}
    allowed = [row for row in order if row not in blocked and row % 7 != 6]
    told = model.popular(0, hashes(sorted(blocked)), Filters(), k)
    assert told.rows == allowed[:k]
    assert model.popular_json(0, hashes(sorted(blocked)), Filters(), k) == model.json(told)


@cache
def large() -> tuple[Parts, Model]:
    """Return a model of more items than go on to the ranker."""
    weights = (np.array(RANKER_FEATURES) == "log_price").astype(np.float32)
    parts = small_parts(5_000, towers=whole_towers(5_000), weights=weights)
    return parts, Model(parts)


@pytest.mark.parametrize("k", [5, 100, 150])
def test_the_ranker_sees_the_best_hundred(k: int) -> None:
    """The scorer's best hundred are put in order, more only where more are asked for."""
    parts, model = large()
    assert parts.personal is not None
    request = asked((0, "bought"), (1, "rated"), blocked=[2, 3], k=k)
    personal = parts.personal
    scores = personal.outputs @ (personal.inputs[0] + np.float32(0.5) * personal.inputs[1])
    scores[[0, 1, 2, 3]] = -np.inf
    chosen = np.argsort(-scores, kind="stable")[: max(k, 100)].tolist()
    chosen.sort(key=lambda row: -personal.item_stats[row, -1])
    (ranked,) = rank(model, request)
    assert ranked is not None
    assert ranked.rows == chosen[:k]


# What a request may bring


def test_nothing_to_rank_by() -> None:
    """A shopper without a graded item that the model knows gets None, and others their list."""
    _, model = plain()
    strangers = [
        asked(),
        asked((1, "seen")),
        asked((ITEMS, "bought")),
        asked((1, "bought"), (1, "refused")),
    ]
    known = asked((1, "bought"))
    (listed,) = rank(model, known)
    assert listed
    assert rank(model, *strangers) == [None] * 4
    assert rank(model, *strangers, known, *strangers) == [*[None] * 4, listed, *[None] * 4]


def test_no_list_without_the_personal_part() -> None:
    """A model of popular items ranks for nobody, and knows similar items by their buyers."""
    parts = small_parts(ITEMS, personal=False)
    model = Model(parts)
    model.warm()
    assert (model.is_personal, model.cost_s) == (False, 0.0)
    assert rank(model, asked((1, "bought"))) == [None]
    assert model.ranker_inputs(model.batch([asked((1, "bought"))])) == [None]
    told = model.similar(0, 3)
    assert told == model.popular(1, hashes([0]), Filters(), 3)
    assert {*told.sources} == {popular_in(1)}


def test_an_item_nobody_met_has_popular_neighbours() -> None:
    """Where nothing is known of an item, what its kind's buyers buy stands beside it."""
    towers = whole_towers(ITEMS)
    towers.outputs[1] = 0
    model = Model(small_parts(ITEMS, towers=towers))
    assert model.similar(1, 3) == model.popular(2, hashes([1]), Filters(), 3)


def test_scores_that_are_no_numbers_are_errors() -> None:
    """What a graph gives that is no number is never served."""
    towers = whole_towers(ITEMS)
    towers.inputs[5] = np.inf
    model = Model(small_parts(ITEMS, towers=towers))
    assert rank(model, asked((1, "bought")))[0]
    with pytest.raises(ModelsError, match="no number"):
        rank(model, asked((1, "bought")), asked((5, "bought")))


def test_lists_as_json() -> None:
    """Ids, scores and reasons as they are, whatever the ids hold; nothing is an empty array."""
    ids = ('say "cheese"', "Žlahtina\\", "☃", *(item(row) for row in range(3, ITEMS)))
    names = ("", "Žlahtina", *[""] * (ITEMS - 2))
    parts = small_parts(ITEMS, towers=whole_towers(ITEMS), ids=ids)
    model = Model(replace(parts, items=replace(parts.items, names=Texts.of(names))))
    for _ in range(2):
        sources = [1, because(Kind.BECAUSE_YOU_BOUGHT, 2), POPULAR, popular_in(1)]
        told = model.json(Listed([2, 0, 1, 3], [1.5, 0.1, -2e-7, 3], sources))
        assert json.loads(told) == [
            as_json(ids[2], 1.5, f"similar_to:{ids[1]}", "Similar to Žlahtina"),
            as_json(ids[0], 0.1, f"because_you_bought:{ids[2]}", "Because you bought ☃"),
            as_json(ids[1], -2e-7, "popular", "Popular now"),
            as_json(ids[3], 3, "popular_in:type=Red", "Popular with shoppers who like Red"),
        ]
    assert model.json(Listed([], [], [])) == b"[]"


def as_json(item_id: str, score: float, reason: str, text: str) -> dict[str, object]:
    """Return an item as it is answered."""
    return {"item_id": item_id, "score": score, "reason": reason, "reason_text": text}


def test_popular_lists_are_written_once_within_bounds() -> None:
    """Ever new lengths and filters do not fill the memory."""
    _, model = plain()
    for price in range(600):
        model.popular_json(0, NO_HASHES, Filters(price_min=float(price)), 1)
    assert 0 < len(model._constant) <= 256


def test_long_histories() -> None:
    """Fifty graded items are as many as ever count; all are padded to one width."""
    _, model = large()
    everything = asked(*((row, "bought") for row in range(300)), k=5)
    latest = asked(*((row, "bought") for row in range(250, 300)), k=5)
    told, same = rank(model, everything, latest)
    assert told is not None
    assert same is not None
    assert told.sources == same.sources


def test_ranker_inputs_are_what_is_ranked() -> None:
    """Training reads candidates in the scorer's order, and a row of numbers for each."""
    _, model = by_price()
    told = model.ranker_inputs(model.batch([asked(), asked((1, "bought"), (3, "rated"))]))
    assert told[0] is None
    assert told[1] is not None
    rows, matrix = told[1]
    assert matrix.shape == (len(rows), len(RANKER_FEATURES)) == (ITEMS - 2, len(RANKER_FEATURES))
    assert matrix.dtype == np.float32
    assert (np.diff(matrix[:, RANKER_FEATURES.index("score")]) <= 0).all()


# Ids and segments


def test_items_by_id_and_hash() -> None:
    """Rows, ids and hashes lead to each other; what is unknown leads nowhere."""
    _, model = plain()
    assert len(model) == ITEMS
    assert [model.index_of(item(row)) for row in (0, 7, ITEMS)] == [0, 7, None]
    assert model.item_id(7) == item(7)
    asked_for = np.concatenate((hashes([3, ITEMS, 0]), np.array([0, 2**64 - 1], np.uint64)))
    assert model.indices_of(asked_for).tolist() == [3, -1, 0, -1, -1]
    assert model.indices_of(NO_HASHES).tolist() == []


def test_segments_of_shoppers() -> None:
    """By name, by what training knew, by market, and by what was liked."""
    _, model = plain()
    assert [model.segment_named(name) for name in (*SEGMENT_NAMES, "?")] == [0, 1, 2, 3, None]
    shoppers = ("amélie", "bruno", "用户 7", "stranger", "")
    assert [model.shared_segment(each, None) for each in shoppers] == [1, 2, 3, 0, 0]
    assert [model.shared_segment("", each) for each in ("FR", "fr", None, 7)] == [3, 0, 0, 0]
    looked_at = [
        [model.segment_looked_at(row, item(each)) for each in (0, 1, 2)] for row in range(4)
    ]
    assert looked_at == [[1, 2, 0], [1, 1, 1], [2, 2, 2], [1, 2, 3]]
    assert model.segment_looked_at(3, "unknown") == 3
    liked = [
        ([(0, "bought"), (1, "rated")], 1),
        ([(0, "rated"), (1, "bought")], 2),
        ([(2, "bought")], 0),
        ([(ITEMS, "bought")], 0),
        ([], 0),
    ]
    requests = [asked(*events, segment=None) for events, _ in liked]
    assert model.batch(requests).segments.tolist() == [row for _, row in liked]
    stranger = asked(segment=None)
    assert _segment(model, stranger._replace(user_id="bruno")) == 2
    assert _segment(model, stranger._replace(moment=Moment(0, profile={"country": "FR"}))) == 3
    assert _segment(model, asked((0, "bought"), segment=None)._replace(user_id="bruno")) == 1
    assert _segment(model, asked((0, "bought"), segment=0)) == 0
    for told in ("rated low", "refused"):  # what training knew is no more true
        assert _segment(model, asked((0, told), segment=None)._replace(user_id="amélie")) == 0
    for row, told in ((0, "seen"), (1, "refused"), (2, "bought"), (ITEMS, "rated low")):
        assert _segment(model, asked((row, told), segment=None)._replace(user_id="amélie")) == 1


def _segment(model: Model, request: RankRequest) -> int:
    (told,) = model.shoppers(model.batch([request]))
    return told.segment


def test_a_ranking_tells_what_the_history_forbids() -> None:
    """Each shopper's own, and not what the request excludes."""
    _, model = plain()
    requests = [asked((1, "bought"), (9, "refused"), blocked=[2]), asked(), asked((4, "rated"))]
    told: list[Ranking] = model.rank(model.batch(requests))
    assert [{*each.blocked.tolist()} for each in told] == [
        {*hashes([1, 9]).tolist()},
        set(),
        {*hashes([4]).tolist()},
    ]


def test_a_clock_that_is_behind_the_last_event() -> None:
    """The moment is after all that happened, as it is when clocks agree."""
    _, model = by_price()
    behind = asked((1, "bought"), (3, "rated"))._replace(moment=Moment(0))
    after = behind._replace(moment=Moment(2))
    (told,), (same,) = (model.ranker_inputs(model.batch([each])) for each in (behind, after))
    assert told is not None
    assert same is not None
    assert told[1].tobytes() == same[1].tobytes()


# What holds while it serves


def test_a_warm_model_knows_its_cost() -> None:
    """Once warm it says what a shopper costs, which decides where it runs."""
    model = Model(small_parts())
    assert model.cost_s == 0
    model.warm()
    assert model.cost_s > 0


@pytest.mark.parametrize("personal", [True, False])
def test_where_baskets_say_little_others_do(personal: bool) -> None:
    """Companions come first, then what is similar, then what is popular; each once, in stock."""
    parts = small_parts(ITEMS, towers=whole_towers(ITEMS), personal=personal)
    told = Model(parts).bought_together([9, 8], 12)
    assert told.rows[:2] == [0, 7]  # 8, the best of 9, lies in the basket
    assert told.sources[:2] == [because(Kind.BOUGHT_WITH, 8)] * 2
    assert len({*told.rows}) == 12
    assert not {8, 9} & {*told.rows}
    assert parts.items.in_stock[told.rows].all()
    assert {source >= 0 for source in told.sources[2:]} == {personal}
    told = Model(replace(parts, companions=None)).bought_together([9], ITEMS)
    assert len(told.rows) == parts.items.in_stock.sum() - 1
    assert (told.sources[0] == 9) is personal


def test_a_tiny_catalogue_can_be_warmed() -> None:
    """One item, even one that is out of stock, is a model."""
    model = Model(small_parts(1))
    model.warm()
    assert model.popular(0, NO_HASHES, Filters(), 10).rows == [0]
    assert model.similar(0, 10) == Listed([], [], [])
    assert model.bought_together([0], 10) == Listed([], [], [])


def test_filters_are_remembered_within_bounds() -> None:
    """Ever new filters do not fill the memory."""
    model = Model(small_parts(personal=False))
    for price in range(1_000):
        model.popular(0, NO_HASHES, Filters(price_min=float(price)), 1)
    assert len(model._items._masks) <= 256


def test_many_threads_may_ask(tmp_path: Path) -> None:
    """While others rank and a successor is loaded, every answer is the same."""
    version = write_bundle(tmp_path, by_price()[0])
    model = read_bundle(tmp_path / version)
    requests = [asked((row, "bought"), (row + 1, "rated"), blocked=[row]) for row in range(8)]
    expected = rank(model, *requests)
    wrong: list[object] = []

    def ask() -> None:
        for turn in range(40):
            filters = Filters(price_min=-float(turn))
            model.popular(1, NO_HASHES, filters, 5)
            if (answers := rank(model, *requests)) != expected:
                wrong.append(answers)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        read_bundle(tmp_path / version).warm()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("rules", ["", "diversity: 0.2\nrotation: {every: 1h}\ncaps: {default: 3}"])
def test_a_model_that_goes_leaves_nothing(tmp_path: Path, rules: str) -> None:
    """No garbage need be collected for that: none of its files stays mapped, nor what it wrote."""
    version = write_bundle(tmp_path, by_price()[0])
    request = asked((1, "bought"), (2, "rated"))
    gc.collect()
    gc.disable()
    try:
        model = read_bundle(tmp_path / version)
        model.follow(parse_rules(rules, "rules"))
        model.warm()
        (listed,) = rank(model, request)
        assert listed is not None
        assert model.json(listed)
        assert model.popular_json(1, hashes([1]), Filters(), 5)
        assert model.similar(1, 5)
        assert version in Path("/proc/self/maps").read_text()
        del model
        assert version not in Path("/proc/self/maps").read_text()
    finally:
        gc.enable()


def test_serving_loads_no_training_library() -> None:
    """What reads and runs a model does without all that makes one."""
    heavy = ("sklearn", "pandas", "polars", "pyarrow", "deltalake", "onnx", "skl2onnx", "scipy")
    told = "import sys, models.model, models.bundle, models.registry; "
    told += f"print(*(name for name in {heavy!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
