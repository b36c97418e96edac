"""The demo wine shop's world: its wines, its shoppers and what each of them likes.

What a shopper thinks of a wine is the sum of a *taste shared by a kind of shopper* (country and
type of wine, how much price matters), a *home* preference, and a *personal* taste along a few
hidden dimensions in which wines of a winery resemble one another. The first is what segments
can learn, the last what only collaborative filtering can.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]

TYPES = ("Red", "White", "Rosé", "Sparkling", "Dessert")
_TYPE_SHARE = (0.48, 0.27, 0.09, 0.11, 0.05)
COUNTRIES = (
    "France",
    "Italy",
    "Spain",
    "Germany",
    "Portugal",
    "United States",
    "Chile",
    "Australia",
    "South Africa",
    "Austria",
)
_COUNTRY_SHARE = (0.22, 0.19, 0.13, 0.10, 0.08, 0.09, 0.06, 0.06, 0.04, 0.03)
HOMES = ("FR", "IT", "ES", "DE", "PT", "US", "CL", "AU", "ZA", "AT", "GB", "NL")
"""Where shoppers live; the first ten grow wine, in the order of `COUNTRIES`."""
_HOME_SHARE = (0.16, 0.13, 0.09, 0.18, 0.05, 0.10, 0.03, 0.04, 0.02, 0.05, 0.10, 0.05)
UTC_OFFSET_H = np.array([1, 1, 1, 1, 0, -5, -4, 10, 2, 1, 0, 1])
"""Hours that clocks at home are ahead of UTC."""

_GRAPES = {
    "Red": ("Cabernet Sauvignon", "Merlot", "Pinot Noir", "Syrah", "Sangiovese", "Tempranillo"),
    "White": ("Chardonnay", "Riesling", "Sauvignon Blanc", "Pinot Grigio", "Albariño"),
    "Rosé": ("Grenache", "Pinot Noir", "Cinsault"),
    "Sparkling": ("Chardonnay", "Glera", "Pinot Noir", "Macabeo"),
    "Dessert": ("Muscat", "Sémillon", "Riesling"),
}
_PLACES = ("Alto", "Bella", "Clos", "Domaine", "Monte", "Quinta", "Château", "Villa", "Casa", "Hof")
_NAMES = ("Aurelia", "Bruma", "Corvina", "Delmar", "Estrella", "Fontana", "Granato", "Halden")
_ABV = np.array([13.5, 12.5, 12.5, 11.8, 16.0])
_BASE_PRICE = np.array([14.0, 12.0, 11.0, 19.0, 22.0])

HIDDEN = 6
_KINDS = 8
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Wines:
    """`n` wines, one row each; `released_ms` is when a wine came on sale."""

    ids: tuple[str, ...]
    type: Codes
    country: Codes
    price: npt.NDArray[np.float64]
    abv: npt.NDArray[np.float64]
    grape: tuple[str, ...]
    winery: tuple[str, ...]
    name: tuple[str, ...]
    in_stock: npt.NDArray[np.bool_]
    released_ms: Codes
    appeal: Floats
    hidden: Floats

    def __len__(self) -> int:
        """Return the number of wines."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Shoppers:
    """Shoppers `first` to `first + n`, one row each; `kind` is a row of `Kinds`."""

    first: int
    kind: Codes
    home: Codes
    age: Codes
    opted_in: npt.NDArray[np.bool_]
    joined: Floats
    hidden: Floats
    thrift: Floats

    def __len__(self) -> int:
        """Return the number of shoppers."""
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Kinds:
    """What kinds of shopper there are: their liking of each type and country of wine."""

    type: Floats
    country: Floats
    thrift: Floats


def make_kinds(seed: int) -> Kinds:
    """Return the kinds of shopper of a shop."""
    random = np.random.default_rng([seed, 1])
    return Kinds(
        type=random.normal(0, 1.3, (_KINDS, len(TYPES))).astype(np.float32),
        country=random.normal(0, 1.3, (_KINDS, len(COUNTRIES))).astype(np.float32),
        thrift=random.normal(0.4, 0.5, _KINDS).astype(np.float32),
    )


def make_wines(seed: int, count: int, start_ms: int, until_ms: int) -> Wines:
    """Return `count` wines; one in twelve came on sale after the shop opened."""
    random = np.random.default_rng([seed, 2])
    kind = random.choice(len(TYPES), count, p=_TYPE_SHARE)
    wineries = max(count // 5, 4)
    winery = random.integers(0, wineries, count)
    home = random.choice(len(COUNTRIES), wineries, p=_COUNTRY_SHARE)
    style = random.normal(0, 0.8, (wineries, HIDDEN))
    appeal = random.normal(0, 0.6, count)
    price = _BASE_PRICE[kind] * np.exp(random.normal(0, 0.5, count) + 0.3 * appeal)
    grape = [
        _GRAPES[TYPES[each]][draw % len(_GRAPES[TYPES[each]])]
        for each, draw in zip(kind, random.integers(0, 60, count), strict=True)
    ]
    makers = [_winery_name(number) for number in winery]
    vintage = random.integers(2016, 2025, count)
    named = zip(makers, grape, vintage, strict=True)
    return Wines(
        ids=tuple(f"wine-{number:05d}" for number in range(count)),
        type=kind,
        country=home[winery],
        price=np.maximum(np.round(price * 2) / 2 - 0.01, 3.99),
        abv=np.round(_ABV[kind] + random.normal(0, 0.7, count), 1),
        grape=tuple(grape),
        winery=tuple(makers),
        name=tuple(f"{maker} {each} {year}" for maker, each, year in named),
        in_stock=random.random(count) < 0.95,
        released_ms=_releases(random, count, start_ms, until_ms),
        appeal=appeal.astype(np.float32),
        hidden=(style[winery] + random.normal(0, 0.6, (count, HIDDEN))).astype(np.float32),
    )


def _winery_name(number: int) -> str:
    place = _PLACES[number % len(_PLACES)]
    name = _NAMES[number // len(_PLACES) % len(_NAMES)]
    series = number // (len(_PLACES) * len(_NAMES))
    return f"{place} {name}" if not series else f"{place} {name} {series + 1}"


def _releases(random: np.random.Generator, count: int, start_ms: int, until_ms: int) -> Codes:
    """Return the time of release: mostly before the shop opened, the latest days before now."""
    released = np.full(count, start_ms, np.int64)
    late = np.flatnonzero(random.random(count) < 1 / 12)
    released[late] = random.integers(start_ms, until_ms - _DAY_MS, len(late))
    newest = random.choice(count, max(count // 100, 1), replace=False)
    released[newest] = until_ms - random.integers(_DAY_MS, 7 * _DAY_MS, len(newest))
    return released


def make_shoppers(seed: int, first: int, count: int) -> Shoppers:
    """Return shoppers number `first` to `first + count`."""
    random = np.random.default_rng([seed, 3, first])
    kind = random.integers(0, _KINDS, count)
    return Shoppers(
        first=first,
        kind=kind,
        home=random.choice(len(HOMES), count, p=_HOME_SHARE),
        age=np.clip(random.normal(44, 14, count), 18, 90).astype(np.int64),
        opted_in=random.random(count) < 0.4,
        joined=(0.9 * random.random(count) ** 1.5).astype(np.float32),
        hidden=random.normal(0, 1.0, (count, HIDDEN)).astype(np.float32),
        thrift=random.normal(0, 0.3, count).astype(np.float32),
    )


def liking(wines: Wines, shoppers: Shoppers, kinds: Kinds) -> Floats:
    """Return what each shopper thinks of each wine, float32[shoppers, wines], around 0."""
    shared = kinds.type[shoppers.kind][:, wines.type]
    shared += kinds.country[shoppers.kind][:, wines.country]
    shared += 0.8 * (shoppers.home[:, None] == wines.country[None, :])
    personal = shoppers.hidden @ wines.hidden.T / np.float32(math.sqrt(HIDDEN) * 0.75)
    dear = np.log(wines.price).astype(np.float32)
    thrift = (kinds.thrift[shoppers.kind] + shoppers.thrift)[:, None]
    price = thrift * (dear - dear.mean())[None, :]
    liked: Floats = (shared + personal - price + wines.appeal[None, :]).astype(np.float32)
    return liked
