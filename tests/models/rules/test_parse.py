"""Rules from YAML: what they say, and every mistake at once with its place."""

import re
from pathlib import Path

import pytest

from features.demo_shop.world import TYPES
from features.errors import InputError
from features.events import EventType
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
    Shown,
    Span,
    page_of,
)
from models.rules.parse import parse_rules, read_rules

DAY_MS = 86_400_000
DECEMBER = 1_796_083_200_000
"""2026-12-01, UTC."""

EVERYTHING = """
show:
  in_stock: true
  price_min: 5
  price_max: 80.5
  categories: [Red, 2015]
  exclude: {items: [wine-1], categories: [Gear]}
pins: [{item: wine-7, position: 2, from: 2026-12-01, until: 2026-12-02 12:00}]
boosts:
  - {categories: [Red], factor: 2}
  - {items: [wine-3], factor: 0.5, until: 2026-12-01T01:00:00+01:00}
caps: {default: 4, categories: {Red: 2, White: null}}
diversity: 0.3
dislikes: {not_interested: 0.6, low_stars: 0.4, remove_from_cart: 0.2, stars_below: 2.5}
rotation: {every: 30m, strength: 0.4}
explore: {share: 0.1, met_below: 3, every: 1d}
repurchase: {default: never, categories: {Red: 30d, White: 12h}}
weights: {click: 0.2, rating: 0.9}
pages:
  home: {k: 12, diversity: 0}
  email: {caps: null, pins: [], rotation: null}
"""


def test_everything_that_can_be_said() -> None:
    """Each word arrives in its field, in the field's unit."""
    rules = parse_rules(EVERYTHING, "shop.yaml")
    assert rules.pages[Page.OTHER] == PageRules(
        k=None,
        show=Shown(True, 5.0, 80.5, ("Red", "2015"), ("wine-1",), ("Gear",)),
        pins=(Pin("wine-7", 2, Span(DECEMBER, DECEMBER + 3 * DAY_MS // 2)),),
        boosts=(Boost(2.0, (), ("Red",)), Boost(0.5, ("wine-3",), (), Span(None, DECEMBER))),
        caps=Caps(4, {"Red": 2}),
        diversity=0.3,
        dislikes=Dislikes(0.6, 0.4, 0.2, 2.5),
        rotation=Rotation(1_800, 0.4),
        explore=Explore(0.1, 3, 86_400),
    )
    assert rules.repurchase == Repurchase(None, {"Red": 30 * DAY_MS, "White": DAY_MS // 2})
    assert rules.weights == {EventType.CLICK: 0.2, EventType.RATING: 0.9}


def test_a_page_says_what_is_different_there() -> None:
    """The rest is as everywhere; null takes a rule back."""
    rules = parse_rules(EVERYTHING, "shop.yaml")
    home, email = rules.pages[Page.HOME], rules.pages[Page.EMAIL]
    assert (home.k, home.diversity, home.caps) == (12, 0.0, Caps(4, {"Red": 2}))
    assert (email.caps, email.pins, email.rotation, email.diversity) == (None, (), None, 0.3)
    assert rules.pages[Page.BASKET] == rules.pages[Page.OTHER]
    assert rules.lengths() == {Page.HOME: 12}


def test_no_rules_arrange_nothing() -> None:
    """An empty file is a shop without rules; what may be shown arranges nothing either."""
    assert not any(page.arranges for page in parse_rules("", "r").pages.values())
    shown = parse_rules("show: {in_stock: true}\nrepurchase: {default: 30d}", "r")
    assert not any(page.arranges for page in shown.pages.values())


def test_other_rules_have_another_digest() -> None:
    """What was cached under other rules is not true any more."""
    one, other = parse_rules("diversity: 0.1", "r"), parse_rules("diversity: 0.2", "r")
    assert one.digest != other.digest
    assert one.digest == parse_rules("diversity: 0.1", "elsewhere").digest


@pytest.mark.parametrize("name", ["checkout", "", None, "HOME"])
def test_a_page_that_is_called_otherwise_is_another(name: str | None) -> None:
    """Pages are a closed set."""
    assert page_of(name) is Page.OTHER
    assert page_of("email") is Page.EMAIL


MISTAKES = {
    "shw: 1": "shw: there is no 'shw'; did you mean 'show'?",
    "show: 3": "show: expected a mapping, got 3",
    "show: {in_stock: perhaps}": "show.in_stock: expected true or false, got 'perhaps'",
    "show: {price_min: -1}": "show.price_min: expected a number of 0 or more, got -1",
    "show: {price_min: 9, price_max: 3}": "show.price_min: expected at most price_max 3, got 9",
    "show: {categories: Red}": "show.categories: expected a list of texts, got 'Red'",
    "show: {categories: []}": (
        "show.categories: expected one at least: of none nothing would be shown"
    ),
    "show: {exclude: {items: [no]}}": (
        "show.exclude.items[0]: expected a text, in quotes where in doubt, got False"
    ),
    "pins: {item: a}": "pins: expected a list of mappings, got {'item': 'a'}",
    "pins: [7]": "pins[0]: expected a mapping, got 7",
    "pins: [{position: 1}]": "pins[0].item: required",
    "pins: [{item: a, position: 0}]": (
        "pins[0].position: expected a whole number from 1 to 100, got 0"
    ),
    "pins: [{item: a, position: 1, from: soon}]": (
        "pins[0].from: expected a date like 2026-12-01 or a time like 2026-12-01 18:00, got 'soon'"
    ),
    "pins: [{item: a, position: 1, from: 2026-01-02, until: 2026-01-02}]": (
        "pins[0].until: expected a later moment than from"
    ),
    "boosts: [{factor: 2}]": (
        "boosts[0].items: expected items or categories that are boosted, got neither"
    ),
    "boosts: [{items: [a], factor: 0}]": (
        "boosts[0].factor: expected a number from 0.01 to 100, got 0"
    ),
    "caps: {default: 1.5}": "caps.default: expected a whole number from 0 to 100, got 1.5",
    "caps: {categories: {yes: 3}}": (
        "caps.categories: expected names, in quotes where in doubt, got True"
    ),
    "caps: {categories: [Red]}": "caps.categories: expected a mapping, got ['Red']",
    "diversity: 2": "diversity: expected a number from 0 to 1, got 2",
    "diversity: .nan": "diversity: expected a number from 0 to 1, got nan",
    "dislikes: {low_star: 1}": (
        "dislikes.low_star: there is no 'low_star'; did you mean 'low_stars'?"
    ),
    "rotation: {every: 0s}": "rotation.every: expected a time like 30m, 12h or 7d, got '0s'",
    "rotation: {strength: 0.5}": "rotation.every: required",
    "explore: {share: 0.9}": "explore.share: expected a number from 0 to 0.5, got 0.9",
    "repurchase: {categories: {Red: 30}}": (
        "repurchase.categories.Red: expected a time like 30m, 12h or 7d, or never; got 30"
    ),
    "weights: {click: 2}": "weights.click: expected a number from 0 to 1, got 2",
    "weights: {session: 1}": (
        "weights.session: there is no 'session'; there are click, add_to_cart, purchase, rating"
    ),
    "pages: {hom: {k: 3}}": "pages.hom: there is no 'hom'; did you mean 'home'?",
    "pages: {home: {k: 101}}": "pages.home.k: expected a whole number from 1 to 100, got 101",
    "pages: {home: {weights: {click: 1}}}": (
        "pages.home.weights: there is no 'weights'; there are k, show, pins, boosts, caps, "
        "diversity, dislikes, rotation, explore"
    ),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.items())
def test_a_mistake_is_named_with_its_place(text: str, told: str) -> None:
    """Where it stands, what stands there, and what was expected."""
    with pytest.raises(InputError) as raised:
        parse_rules(text, "shop.yaml")
    assert str(raised.value) == f"shop.yaml: {told}"


def test_all_mistakes_are_told_at_once() -> None:
    """Nobody mends a file line by line."""
    wrong = "diversity: 2\npages: {home: {k: 0}}\nweights: {click: -1}\n"
    wrong += "show: {categories: [no, Red, 2015-01-01]}"
    with pytest.raises(InputError) as raised:
        parse_rules(wrong, "shop.yaml")
    places = [line.split(": ")[1] for line in str(raised.value).splitlines()]
    assert sorted(places) == [
        "diversity",
        "pages.home.k",
        "show.categories[0]",
        "show.categories[2]",
        "weights.click",
    ]


@pytest.mark.parametrize("text", ["[1, 2]", "show: [", "\x00"])
def test_what_is_no_mapping_in_yaml_is_told(text: str) -> None:
    """The file is named."""
    with pytest.raises(InputError, match=r"shop\.yaml: "):
        parse_rules(text, "shop.yaml")


def test_the_example_in_the_documents_is_valid() -> None:
    """And names categories of the demo shop only."""
    page = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    rules = parse_rules(example, "docs/rules.md")
    assert rules.pages[Page.HOME].k == 12
    named = {
        *rules.repurchase.categories,
        *(each for told in rules.pages.values() for each in told.show.excluded_categories),
        *(
            each
            for told in rules.pages.values()
            for boost in told.boosts
            for each in boost.categories
        ),
    }
    assert named <= {*TYPES}


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(InputError, match="nowhere"):
        read_rules(tmp_path / "nowhere.yaml")
