"""Rules from YAML, checked as a whole: each mistake with its place, its value, what was expected.

show: {in_stock: true}
caps: {default: 4}
pages:
  home: {k: 12, diversity: 0.3}
"""

from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path

from features.events import EventType
from features.history import LOW_STARS
from features.yaml_fields import parse_yaml, read_text
from models.rules.declared import (
    Boost,
    Caps,
    Dislikes,
    Explore,
    Page,
    PageRules,
    Pin,
    Repurchase,
    Rotation,
    Rules,
    Shown,
    Span,
)
from models.rules.fields import (
    Fields,
    Mistakes,
    amount,
    moment_ms,
    number,
    seconds,
    share,
    text,
    truth,
    whole,
    window_ms,
)

MOST_ITEMS = 100
"""The longest list that can be asked for."""

NAMED_PAGES = {str(page): page for page in Page if page is not Page.OTHER}
WEIGHTED = {
    str(kind): kind
    for kind in (EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE, EventType.RATING)
}

_OF_A_PAGE = (
    "k",
    "show",
    "pins",
    "boosts",
    "caps",
    "diversity",
    "dislikes",
    "rotation",
    "explore",
)
_OF_ALL = (*_OF_A_PAGE, "repurchase", "weights", "pages")
_SHOW = ("in_stock", "price_min", "price_max", "categories", "exclude")
_FROM_UNTIL = ("from", "until")


def read_rules(path: Path) -> Rules:
    """Return the rules in a file; raise `InputError` with a line for each mistake."""
    return parse_rules(read_text(path), str(path))


def parse_rules(told: str, name: str) -> Rules:
    """Return the rules that a YAML text declares; `name` stands before each mistake."""
    mistakes = Mistakes()
    fields = Fields(parse_yaml(told, name), "", _OF_ALL, mistakes)
    everywhere = _page(fields, PageRules())
    pages = fields.within("pages", NAMED_PAGES)
    rules = Rules(
        {
            Page.OTHER: everywhere,
            **{
                page: _page(pages.within(name, _OF_A_PAGE), everywhere)
                for name, page in NAMED_PAGES.items()
            },
        },
        _repurchase(fields.within("repurchase", ("default", "categories"))),
        _weights(fields.within("weights", WEIGHTED)),
        blake2b(told.encode(), digest_size=4).hexdigest(),
    )
    mistakes.raise_any(name)
    return rules


def _page(fields: Fields, otherwise: PageRules) -> PageRules:
    """Return the rules of a page: what it does not say is as everywhere."""
    told = replace(
        otherwise,
        k=fields.get("k", partial(whole, low=1, high=MOST_ITEMS), otherwise.k),
        diversity=fields.get("diversity", share, otherwise.diversity),
    )
    if "show" in fields:
        told = replace(told, show=_show(fields.within("show", _SHOW)))
    if "pins" in fields:
        pins = fields.each("pins", _pin, ("item", "position", *_FROM_UNTIL))
        told = replace(told, pins=tuple(pins))
    if "boosts" in fields:
        boosts = fields.each("boosts", _boost, ("factor", "items", "categories", *_FROM_UNTIL))
        told = replace(told, boosts=tuple(boosts))
    if "caps" in fields:
        told = replace(told, caps=_caps(fields.within("caps", ("default", "categories"))))
    if "dislikes" in fields:
        told = replace(told, dislikes=_dislikes(fields))
    if "rotation" in fields:
        told = replace(told, rotation=_rotation(fields.within("rotation", ("every", "strength"))))
    if "explore" in fields:
        known = ("share", "met_below", "every")
        told = replace(told, explore=_explore(fields.within("explore", known)))
    return told


def _show(fields: Fields) -> Shown:
    exclude = fields.within("exclude", ("items", "categories"))
    categories = fields.texts("categories")
    if categories == ():
        fields.wrong("categories", "expected one at least: of none nothing would be shown")
    told = Shown(
        fields.get("in_stock", truth, False),
        fields.get("price_min", amount, None),
        fields.get("price_max", amount, None),
        categories,
        exclude.texts("items") or (),
        exclude.texts("categories") or (),
    )
    low, high = told.price_min, told.price_max
    if low is not None and high is not None and low > high:
        fields.wrong("price_min", f"expected at most price_max {high:g}, got {low:g}")
    return told


def _pin(fields: Fields) -> Pin:
    position = partial(whole, low=1, high=MOST_ITEMS)
    return Pin(fields.need("item", text, ""), fields.need("position", position, 1), _span(fields))


def _boost(fields: Fields) -> Boost:
    told = Boost(
        fields.need("factor", partial(number, low=0.01, high=100), 1.0),
        fields.texts("items") or (),
        fields.texts("categories") or (),
        _span(fields),
    )
    if not ("items" in fields or "categories" in fields):
        fields.wrong("items", "expected items or categories that are boosted, got neither")
    return told


def _span(fields: Fields) -> Span:
    told = Span(fields.get("from", moment_ms, None), fields.get("until", moment_ms, None))
    if told.since is not None and told.until is not None and told.since >= told.until:
        fields.wrong("until", "expected a later moment than from")
    return told


def _caps(fields: Fields) -> Caps | None:
    cap = partial(whole, low=0, high=MOST_ITEMS)
    default = fields.get("default", cap, None)
    by_name = _by_name(fields)
    told = {name: by_name.get(name, cap, 0) for name, raw in by_name.items() if raw is not None}
    return Caps(default, told) if told or default is not None else None


def _by_name(fields: Fields) -> Fields:
    """Return the fields of `categories`, whatever they are called."""
    raw = dict(fields.items()).get("categories")
    return fields.within("categories", [str(name) for name in raw] if isinstance(raw, dict) else ())


def _dislikes(fields: Fields) -> Dislikes:
    known = ("not_interested", "low_stars", "remove_from_cart", "stars_below")
    told = fields.within("dislikes", known)
    return Dislikes(
        told.get("not_interested", share, 0.0),
        told.get("low_stars", share, 0.0),
        told.get("remove_from_cart", share, 0.0),
        told.get("stars_below", partial(number, low=0.5, high=5), LOW_STARS),
    )


def _rotation(fields: Fields) -> Rotation | None:
    if not fields.items():
        return None
    every = fields.need("every", seconds, 3_600.0)
    return Rotation(every, fields.get("strength", partial(number, low=0.05, high=2), 0.2))


def _explore(fields: Fields) -> Explore | None:
    if not fields.items():
        return None
    return Explore(
        fields.need("share", partial(number, low=0, high=0.5), 0.0),
        fields.get("met_below", partial(number, low=1, high=1_000_000), 5.0),
        fields.get("every", partial(seconds, least=60), 3_600.0),
    )


def _repurchase(fields: Fields) -> Repurchase:
    by_name = _by_name(fields)
    told = {name: by_name.get(name, window_ms, None) for name, _ in by_name.items()}
    return Repurchase(fields.get("default", window_ms, None), told)


def _weights(fields: Fields) -> dict[EventType, float]:
    told = {kind: fields.get(name, share, -1.0) for name, kind in WEIGHTED.items()}
    return {kind: weight for kind, weight in told.items() if weight >= 0}
