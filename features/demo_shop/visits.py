"""What happens in the demo shop: a chunk of shoppers' visits as arrays, all shoppers at once.

    visits ── slate of six wines ── impressions ── clicks ── basket ── purchases ── ratings
                                         └── not interested

Wines are shown by taste (a recommendation), by popularity (browsing) or at random, with the
season's types favoured; what is liked more is clicked, bought and starred more.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.demo_shop.seasons import DAY_MS, HOUR_MS, SEASONS, Calendar, months
from features.demo_shop.world import UTC_OFFSET_H, Codes, Kinds, Shoppers, Wines, liking
from features.events import TYPE_CODES, EventType

SLATE = 6
"""Wines shown on a visit."""

EVENTS_A_VISIT = 7.0
"""A little under the mean, so that shoppers seldom have too few."""

NO_WINE = -1

Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shop:
    """Everything that stays the same while shoppers come and go."""

    wines: Wines
    kinds: Kinds
    calendar: Calendar
    popularity: Numbers
    established: Numbers

    @classmethod
    def opened(cls, wines: Wines, kinds: Kinds, calendar: Calendar) -> "Shop":
        """Return the shop with the cumulative popularity of all wines, and of the first ones."""
        weight = np.exp(1.2 * wines.appeal.astype(np.float64))
        first = weight * (wines.released_ms <= calendar.start_ms)
        return cls(wines, kinds, calendar, _cumulated(weight), _cumulated(first))


@dataclass(frozen=True, slots=True)
class Happenings:
    """Events as columns; `visit` counts within the chunk, `wine` is `NO_WINE` for none."""

    shopper: Codes
    ts_ms: Codes
    code: Codes
    wine: Codes
    value: Numbers
    visit: Codes
    recommended: Bools

    def take(self, rows: Codes | Bools) -> "Happenings":
        """Return only `rows`."""
        return Happenings(*(getattr(self, name)[rows] for name in self.__slots__))

    @classmethod
    def joined(cls, parts: list["Happenings"]) -> "Happenings":
        """Return all parts as one."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__)
        )


@dataclass(frozen=True, slots=True)
class _Visits:
    shopper: Codes
    start_ms: Codes
    recommended: Bools


def visits_of(
    shop: Shop, shoppers: Shoppers, targets: Codes, random: np.random.Generator
) -> Happenings:
    """Return exactly `targets[i]` events of shopper i, sorted by shopper and time.

    A shopper with more than that keeps the latest; one with fewer looks at some more wines.
    """
    visits = _visits(shop, shoppers, targets, random)
    score = _standardised(liking(shop.wines, shoppers, shop.kinds))
    parts = _shopping(shop, visits, score, random)
    counts = np.bincount(np.concatenate([part.shopper for part in parts]), minlength=len(shoppers))
    parts.append(_more_looks(shop, visits, np.maximum(targets - counts, 0), random))
    every = Happenings.joined(parts)
    ordered = every.take(np.lexsort((every.wine, every.code, every.ts_ms, every.shopper)))
    return ordered.take(_latest(ordered.shopper, targets))


def _visits(shop: Shop, shoppers: Shoppers, targets: Codes, random: np.random.Generator) -> _Visits:
    counts = np.where(targets > 0, np.ceil(targets / EVENTS_A_VISIT).astype(np.int64) + 1, 0)
    shopper = np.repeat(np.arange(len(shoppers)), counts)
    local = shop.calendar.moments(random, shoppers.joined[shopper])
    start = local - UTC_OFFSET_H[shoppers.home[shopper]] * HOUR_MS
    latest = shop.calendar.until_ms - HOUR_MS
    start = np.where(start > latest, start - DAY_MS, start)
    start = np.maximum(start, shop.calendar.start_ms)
    order = np.lexsort((start, shopper))
    return _Visits(shopper, start[order], random.random(len(shopper)) < 0.65)


def _standardised(liked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    centred = liked - liked.mean(axis=1, keepdims=True)
    spread: npt.NDArray[np.float32] = centred / centred.std(axis=1, keepdims=True)
    return spread


def _shopping(
    shop: Shop, visits: _Visits, score: npt.NDArray[np.float32], random: np.random.Generator
) -> list[Happenings]:
    visit = np.repeat(np.arange(len(visits.shopper)), SLATE)
    slot = np.tile(np.arange(SLATE), len(visits.shopper))
    wine = _slates(shop, visits, visit, score, random)
    first = _first_of_its_kind(visit, wine, len(shop.wines))
    visit, slot, wine = visit[first], slot[first], wine[first]
    liked = score[visits.shopper[visit], wine].astype(np.float64)
    start = visits.start_ms[visit]

    clicked = random.random(len(wine)) < _logistic(1.3 * liked - 3.0 - 0.12 * slot)
    at = start + (slot + 1) * 18_000 + random.integers(0, 12_000, len(wine))
    added = clicked & (random.random(len(wine)) < _logistic(liked - 2.0))
    removed = added & (random.random(len(wine)) < 0.15)
    bought = added & ~removed & (random.random(len(wine)) < 0.65)
    rated = bought & (random.random(len(wine)) < 0.4)
    refused = ~clicked & (liked < 0) & (random.random(len(wine)) < 0.03)
    checkout = start + 240_000 + random.integers(0, 240_000, len(visits.shopper))[visit]
    opened = checkout + random.integers(2 * DAY_MS, 20 * DAY_MS, len(wine))
    rated &= opened < shop.calendar.until_ms
    stars = np.round(2 * (3.3 + 0.5 * liked + random.normal(0, 0.5, len(wine)))) / 2

    def happened(kind: EventType, which: Bools, when: Codes, value: Numbers) -> Happenings:
        chosen = visit[which]
        return Happenings(
            shopper=visits.shopper[chosen],
            ts_ms=when[which],
            code=np.full(len(chosen), TYPE_CODES[kind]),
            wine=wine[which],
            value=value[which],
            visit=chosen,
            recommended=visits.recommended[chosen],
        )

    nothing = np.full(len(wine), np.nan)
    return [
        happened(EventType.IMPRESSION, np.ones(len(wine), bool), start, nothing),
        happened(EventType.CLICK, clicked, at, nothing),
        happened(EventType.ADD_TO_CART, added, at + 9_000, nothing),
        happened(EventType.REMOVE_FROM_CART, removed, at + 45_000, nothing),
        happened(EventType.PURCHASE, bought, checkout, shop.wines.price[wine]),
        happened(EventType.RATING, rated, opened, np.clip(stars, 1, 5)),
        happened(EventType.NOT_INTERESTED, refused, at, nothing),
        _ends(visits, visit, clicked, bought, random),
    ]


def _ends(
    visits: _Visits, visit: Codes, clicked: Bools, bought: Bools, random: np.random.Generator
) -> Happenings:
    """Return the `session` event that closes each visit, with its length in seconds."""
    count = len(visits.shopper)
    clicks = np.bincount(visit[clicked], minlength=count)
    paid = np.bincount(visit[bought], minlength=count) > 0
    length = 20 + 45 * clicks + random.integers(0, 60, count) + np.where(paid, 500, 0)
    return Happenings(
        shopper=visits.shopper,
        ts_ms=visits.start_ms + np.maximum(length, 180) * 1_000,
        code=np.full(count, TYPE_CODES[EventType.SESSION]),
        wine=np.full(count, NO_WINE),
        value=length.astype(np.float64),
        visit=np.arange(count),
        recommended=np.zeros(count, bool),
    )


def _slates(
    shop: Shop,
    visits: _Visits,
    visit: Codes,
    score: npt.NDArray[np.float32],
    random: np.random.Generator,
) -> Codes:
    """Return the wine of each slot: of two that might be shown, rather the season's."""
    by_taste = _row_cumulated(np.exp(1.6 * score.astype(np.float64)))
    start = visits.start_ms[visit]
    one, other = (_proposed(shop, visits, visit, by_taste, start, random) for _ in range(2))
    month = months(start)
    wanted = SEASONS[shop.wines.type[one], month]
    total = wanted + SEASONS[shop.wines.type[other], month]
    return np.where(random.random(len(visit)) * total < wanted, one, other)


def _proposed(
    shop: Shop,
    visits: _Visits,
    visit: Codes,
    by_taste: Numbers,
    start: Codes,
    random: np.random.Generator,
) -> Codes:
    count = len(visit)
    liked = _drawn_by_row(by_taste, visits.shopper[visit], random)
    popular = np.searchsorted(shop.popularity, random.random(count), side="right")
    anything = random.integers(0, len(shop.wines), count)
    wine = np.where(visits.recommended[visit], liked, popular)
    wine = np.where(random.random(count) < 0.1, anything, wine)
    fallback = np.searchsorted(shop.established, random.random(count), side="right")
    return np.where(shop.wines.released_ms[wine] <= start, wine, fallback)


def _more_looks(
    shop: Shop, visits: _Visits, missing: Codes, random: np.random.Generator
) -> Happenings:
    """Return `missing[i]` more impressions of shopper i, on visits of theirs."""
    counts = np.bincount(visits.shopper, minlength=len(missing))
    firsts = np.cumsum(counts) - counts
    shopper = np.repeat(np.arange(len(missing)), missing)
    visit = firsts[shopper] + (random.random(len(shopper)) * counts[shopper]).astype(np.int64)
    wine = np.searchsorted(shop.established, random.random(len(shopper)), side="right")
    return Happenings(
        shopper=shopper,
        ts_ms=visits.start_ms[visit] + random.integers(5_000, 60_000, len(shopper)),
        code=np.full(len(shopper), TYPE_CODES[EventType.IMPRESSION]),
        wine=wine,
        value=np.full(len(shopper), np.nan),
        visit=visit,
        recommended=np.zeros(len(shopper), bool),
    )


def _latest(shopper: Codes, targets: Codes) -> Bools:
    counts = np.bincount(shopper, minlength=len(targets))
    ends = np.cumsum(counts)
    kept: Bools = np.arange(len(shopper)) >= (ends - targets)[shopper]
    return kept


def _first_of_its_kind(visit: Codes, wine: Codes, wines: int) -> Codes:
    """Return the rows where a wine stands on a visit's slate for the first time, in order."""
    return np.sort(np.unique(visit * wines + wine, return_index=True)[1])


def _drawn_by_row(cumulated: Numbers, rows: Codes, random: np.random.Generator) -> Codes:
    """Return one column for each of `rows`, drawn with that row's weights."""
    height, width = cumulated.shape
    flat = (cumulated + np.arange(height)[:, None]).ravel()
    found = np.searchsorted(flat, rows + random.random(len(rows)), side="right")
    columns: Codes = np.clip(found - rows * width, 0, width - 1)
    return columns


def _row_cumulated(weights: Numbers) -> Numbers:
    sums = np.cumsum(weights, axis=1)
    scaled: Numbers = sums / sums[:, -1:]
    return scaled


def _cumulated(weights: Numbers) -> Numbers:
    cumulated: Numbers = _row_cumulated(weights[None, :])[0]
    return cumulated


def _logistic(x: Numbers) -> Numbers:
    return 1 / (1 + np.exp(-x))
