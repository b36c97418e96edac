"""Groups of shoppers and what each wants: tastes chosen by measurement, and markets.

A taste is a value of an item attribute, or of two together (`country=Italy,category=Red`);
a shopper has the one that most of their graded history speaks for. Which attribute is decided
by NDCG@10 on a validation split: the obvious one is seldom the best. What a taste buys is
counted over all shoppers, each as far as the taste is theirs, and shrunk towards everybody's, so
that a small group is not judged by a handful of events.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from features.catalogue import Catalogue, numbered
from features.eventlog import EventLog
from features.history import LOW_GRADE
from features.ids import stable_hashes
from models.dataset import Interactions
from models.metrics import best_new, quality
from models.parts import Floats, Segments
from models.popular_items import popular_items
from models.popularity import HALF_LIFE_DAYS, RECENT_DAYS, popularity, weights_of
from models.segment_table import GLOBAL, MARKET
from models.split import Split

PRIOR = 100.0
"""Weight of everybody's popularity in a group's own, in graded events, unless measured."""

MARKET_PRIOR = 1_600.0
"""The same of a market, unless measured: where somebody lives says less than what they liked."""

PRIORS = (30.0, 100.0, 400.0)

MOST_VALUES = 100
LEAST_SHOPPERS = 20
MOST_GROUPS = 500

MOST_PAIRED = 8
"""Attributes that are tried two together, beside the best with each other one.

Each pair of a long list would take minutes; eight may be one in eight languages.
"""

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Crowds:
    """How it is counted what everybody wants, and what those want who live in a market."""

    half_life_days: float = RECENT_DAYS
    """Of a grade."""
    firsts: int | None = None
    """So many items of each shopper count, those met first; None: all of them."""
    market_prior: float | None = MARKET_PRIOR
    """Weight of everybody in a market, in graded events; None: there are no markets."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """Values of an item attribute: `names` of the values and their number for each item."""

    title: str
    names: tuple[str, ...]
    codes: Codes
    """int32[items]: -1 where the value is unknown."""


def attributes_of(catalogue: Catalogue) -> list[Attribute]:
    """Return the category and the text attributes that could tell tastes apart, in name order."""
    return [each for each in text_attributes(catalogue) if 2 <= len(each.names) <= MOST_VALUES]


def text_attributes(catalogue: Catalogue) -> list[Attribute]:
    """Return the category and all text attributes, in name order."""
    columns: dict[str, npt.NDArray[np.generic]] = {"category": catalogue.category}
    columns |= {
        name: column
        for name, column in sorted(catalogue.attributes.items())
        if column.dtype.kind in "UO"
    }
    return [_attribute(title, column) for title, column in columns.items()]


def pairs_of(attributes: list[Attribute]) -> Iterator[Attribute]:
    """Yield each two of `attributes` together, where that makes not too many groups."""
    for one, two in combinations(attributes, 2):
        both = np.where(
            (one.codes >= 0) & (two.codes >= 0), one.codes * len(two.names) + two.codes, -1
        )
        present = np.unique(both[both >= 0])
        if len(present) <= MOST_GROUPS:
            codes = np.where(both >= 0, np.searchsorted(present, both), -1).astype(np.int32)
            names = tuple(
                f"{one.names[code // len(two.names)]},{two.names[code % len(two.names)]}"
                for code in present.tolist()
            )
            yield Attribute(f"{one.title},{two.title}", names, codes)


def _attribute(title: str, column: npt.NDArray[np.generic]) -> Attribute:
    values, codes = numbered(column)
    blank = int(values[:1] == [""])
    names = tuple(f"{title}={value}" for value in values[blank:])
    return Attribute(title, names, codes - np.int32(blank))


def likings(attribute: Attribute, pairs: Interactions) -> sparse.csr_matrix:
    """Return the grades each shopper gave items of each value, sparse float32[users, values]."""
    codes = attribute.codes[pairs.items]
    told = codes >= 0
    places = pairs.users[told], codes[told]
    shape = pairs.user_count, len(attribute.names)
    return sparse.csr_matrix((pairs.grades[told], places), shape, np.float32)


def tastes(liked: sparse.csr_matrix) -> Codes:
    """Return each shopper's taste, what they liked most, int32[users], -1 for none."""
    most = np.asarray(liked.argmax(axis=1)).ravel()
    chosen: Codes = np.where(liked.getnnz(axis=1) > 0, most, -1).astype(np.int32)
    return chosen


def shares(liked: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return how far each taste is each shopper's, float32[users, values]; 1 in all.

    It goes with the square of what they liked: the strongest counts most.
    """
    squares = liked.multiply(liked).tocsr()
    total = np.asarray(squares.sum(axis=1)).ravel()
    return sparse.diags(1 / np.maximum(total, 1e-9)) @ squares


def members(groups: Codes, count: int) -> sparse.csr_matrix:
    """Return who is in which of `count` groups, float32[users, count]: 1 for theirs."""
    (told,) = np.nonzero(groups >= 0)
    ones = np.ones(len(told), np.float32)
    return sparse.csr_matrix((ones, (told, groups[told])), (len(groups), count))


def group_popularity(
    pairs: Interactions,
    membership: sparse.csr_matrix,
    at_ms: int,
    prior: float = PRIOR,
    half_life_days: float = HALF_LIFE_DAYS,
) -> Floats:
    """Return float32[groups, items]: what each group wants, shrunk towards everybody by `prior`.

    `membership` [users, groups] says how far each shopper belongs to each group.
    """
    weights = weights_of(pairs, at_ms, half_life_days)
    everybody = np.bincount(pairs.items, weights, minlength=pairs.item_count)
    share = everybody / max(float(everybody.sum()), 1e-9)
    counted = (membership.T @ pairs.matrix(weights)).toarray()
    shrunk: Floats = (counted + prior * share).astype(np.float32)
    return shrunk


def measure_tastes(catalogue: Catalogue, split: Split) -> tuple[Attribute | None, dict[str, float]]:
    """Return the attribute whose groups tell best what was wanted, and NDCG@10 by attribute.

    None where nothing beats plain popularity.
    """
    best: Attribute | None = None
    everybody = popularity(split.known, split.cut_ms, RECENT_DAYS)[None]
    nobody = np.zeros(len(split), np.int64)
    results = {"": _ndcg(everybody, nobody, split)}
    single = attributes_of(catalogue)
    for attribute in chain(single, _pairs_of_best(single, results)):
        results[attribute.title] = _taste_ndcg(attribute, split, PRIOR)
        if results[attribute.title] > results[best.title if best else ""]:
            best = attribute
    return best, results


def _pairs_of_best(single: list[Attribute], results: Mapping[str, float]) -> Iterator[Attribute]:
    """Yield pairs of those that tell most alone, and of the best with each, once measured."""
    titles = sorted((each.title for each in single), key=lambda each: -results[each])
    best = titles[:MOST_PAIRED]
    for one, two in combinations(single, 2):
        pair = one.title, two.title
        if titles[0] in pair or (pair[0] in best and pair[1] in best):
            yield from pairs_of([one, two])


def measure_priors(taste: Attribute | None, split: Split) -> dict[float, float]:
    """Return NDCG@10 of a taste's groups by how much they lean on everybody."""
    return {each: _taste_ndcg(taste, split, each) for each in PRIORS} if taste else {}


def _taste_ndcg(attribute: Attribute, split: Split, prior: float) -> float:
    liked = likings(attribute, split.known)
    everybody = popularity(split.known, split.cut_ms, RECENT_DAYS)[None]
    table = group_popularity(split.known, shares(liked), split.cut_ms, prior)
    # Who has no taste yet gets what everybody wants: -1 is the last row.
    return _ndcg(np.vstack((table, everybody)), tastes(liked)[split.users], split)


def _ndcg(tables: Floats, groups: npt.NDArray[np.integer[Any]], split: Split) -> float:
    lists = best_new(tables, groups.astype(np.int64), split.blocked)
    return quality(lists, split.wanted, split.known.met()).ndcg


def make_segments(
    log: EventLog,
    taste: Attribute | None,
    pairs: Interactions,
    at_ms: int,
    prior: float = PRIOR,
    crowds: Crowds | None = None,
) -> Segments:
    """Return everybody, the tastes and the markets, and which taste each shopper has."""
    crowds = crowds or Crowds()
    names = ["global"]
    counted, half_life_days = _counted(pairs, crowds), crowds.half_life_days
    everybody = np.zeros(pairs.user_count, np.int32)
    tables = [popularity(counted, at_ms, half_life_days)[None]]
    popular = [popular_items(counted, everybody, 1, at_ms, half_life_days)]
    item_rows = np.zeros(pairs.item_count, np.int32)
    shopper_rows = np.zeros(pairs.user_count, np.uint16)
    if taste is not None:
        liked = likings(taste, pairs)
        # What somebody gave few stars to is no taste of theirs, though it tells what tastes buy.
        groups = tastes(likings(taste, pairs.only(pairs.grades > LOW_GRADE)))
        tables.append(group_popularity(pairs, shares(liked), at_ms, prior))
        popular.append(popular_items(pairs, groups, len(taste.names), at_ms))
        item_rows = np.where(taste.codes >= 0, taste.codes + 1, GLOBAL).astype(np.int32)
        shopper_rows = (groups + 1).astype(np.uint16)
        names += taste.names
    markets, market_names = markets_of(log)
    if market_names and crowds.market_prior is not None:
        tables.append(market_popularity(pairs, markets, at_ms, crowds))
        popular.append(popular_items(counted, markets, len(market_names), at_ms, half_life_days))
        names += market_names
    hashes = stable_hashes(log.user_ids)
    order = np.argsort(hashes)
    order = order[shopper_rows[order] > 0]
    shoppers = hashes[order], shopper_rows[order]
    return Segments(
        tuple(names), np.vstack(tables), item_rows, *shoppers, popular=np.vstack(popular)
    )


def everybodys(pairs: Interactions, at_ms: int, crowds: Crowds) -> Floats:
    """Return float32[items]: what everybody wants."""
    return popularity(_counted(pairs, crowds), at_ms, crowds.half_life_days)


def market_popularity(pairs: Interactions, markets: Codes, at_ms: int, crowds: Crowds) -> Floats:
    """Return float32[markets, items]: what those want who live in each, see `group_popularity`."""
    lives = members(markets, int(markets.max(initial=-1)) + 1)
    prior = MARKET_PRIOR if crowds.market_prior is None else crowds.market_prior
    counted = _counted(pairs, crowds)
    return group_popularity(counted, lives, at_ms, prior, crowds.half_life_days)


def _counted(pairs: Interactions, crowds: Crowds) -> Interactions:
    return pairs if crowds.firsts is None else pairs.firsts(crowds.firsts)


def markets_of(log: EventLog) -> tuple[Codes, list[str]]:
    """Return each shopper's market, -1 for none, and the names of those with enough shoppers."""
    profiles: Mapping[str, Mapping[str, object]] = log.profiles
    countries = np.array(
        [str(profiles.get(each, {}).get("country") or "") for each in log.user_ids]
    )
    values, codes, counts = np.unique(countries, return_inverse=True, return_counts=True)
    kept = (values != "") & (counts >= LEAST_SHOPPERS)
    numbers = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
    markets: Codes = numbers[codes] if len(values) else np.empty(0, np.int32)
    return markets, [f"{MARKET}{value}" for value in values[kept].tolist()]
