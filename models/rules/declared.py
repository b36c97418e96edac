"""The rules of a storefront as values; `models.rules.parse` reads them from YAML."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from features.events import EventType
from features.history import LOW_STARS


class Page(StrEnum):
    """Where a list is shown: a closed set, each with settings and figures of its own."""

    HOME = "home"
    PRODUCT = "product"
    BASKET = "basket"
    EMAIL = "email"
    OTHER = "other"


_PAGES = {str(page): page for page in Page}


def page_of(name: str | None) -> Page:
    """Return the page that a request names; what it calls otherwise is `other`."""
    return _PAGES.get(name or "", Page.OTHER)


@dataclass(frozen=True, slots=True)
class Span:
    """When a rule is in force: milliseconds UTC, `until` not included; None is open."""

    since: int | None = None
    until: int | None = None

    def holds(self, now_ms: int) -> bool:
        """Tell whether it is in force."""
        return (self.since is None or self.since <= now_ms) and (
            self.until is None or now_ms < self.until
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be shown at all; `categories` None means all of them."""

    in_stock: bool = False
    price_min: float | None = None
    price_max: float | None = None
    categories: tuple[str, ...] | None = None
    excluded_items: tuple[str, ...] = ()
    excluded_categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pin:
    """An item with a place of its own, 1 being the first, as long as it may be shown."""

    item_id: str
    position: int
    span: Span = Span()


@dataclass(frozen=True, slots=True)
class Boost:
    """Items, and all of some categories, whose place is divided by `factor`."""

    factor: float
    items: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    span: Span = Span()


@dataclass(frozen=True, slots=True)
class Caps:
    """How many items of a category a list may have; `default` None means any number."""

    default: int | None = None
    categories: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dislikes:
    """What is taken off an item that is like one the shopper did not like, by what told so.

    1 takes an item that is quite like it from the first place to the last.
    """

    not_interested: float = 0.0
    low_stars: float = 0.0
    remove_from_cart: float = 0.0
    stars_below: float = LOW_STARS

    @property
    def any(self) -> bool:
        """Tell whether anything is taken off."""
        return bool(self.not_interested or self.low_stars or self.remove_from_cart)


@dataclass(frozen=True, slots=True)
class Rotation:
    """A list is drawn anew `every_s` seconds; place p has the weight p ** (-1 / strength)."""

    every_s: float
    strength: float


@dataclass(frozen=True, slots=True)
class Explore:
    """A `share` of places for items that fewer than `met_below` events tell of."""

    share: float
    met_below: float
    every_s: float = 3_600.0


@dataclass(frozen=True, slots=True)
class PageRules:
    """The rules of one page."""

    k: int | None = None
    show: Shown = Shown()
    pins: tuple[Pin, ...] = ()
    boosts: tuple[Boost, ...] = ()
    caps: Caps | None = None
    diversity: float = 0.0
    dislikes: Dislikes = Dislikes()
    rotation: Rotation | None = None
    explore: Explore | None = None

    @property
    def arranges(self) -> bool:
        """Tell whether there is more than what may be shown."""
        return bool(
            self.pins
            or self.boosts
            or self.caps
            or self.diversity
            or self.dislikes.any
            or self.rotation
            or self.explore
        )

    @property
    def is_by_chance(self) -> bool:
        """Tell whether anything is left to chance."""
        return self.rotation is not None or self.explore is not None

    @property
    def drawn_every_s(self) -> float:
        """Return how long what is left to chance stays the same."""
        told = (each.every_s for each in (self.rotation, self.explore) if each is not None)
        return min(told, default=math.inf)


@dataclass(frozen=True, slots=True)
class Repurchase:
    """After how many milliseconds what was bought may be shown again; None is never."""

    default: int | None = None
    categories: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Tell whether anything comes back."""
        return self.default is not None or any(
            each is not None for each in self.categories.values()
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, of each page and of shoppers, and what names them: a digest of the text."""

    pages: Mapping[Page, PageRules]
    repurchase: Repurchase = Repurchase()
    weights: Mapping[EventType, float] = field(default_factory=dict)
    digest: str = ""

    def lengths(self) -> dict[Page, int]:
        """Return how many items a page's list has where the request does not say."""
        return {page: rules.k for page, rules in self.pages.items() if rules.k is not None}
