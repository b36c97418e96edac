"""Rules as they are shown: in the words of the file."""

import pytest
import yaml

from models.rules.declared import Page
from models.rules.parse import parse_rules
from models.rules.written import written

WHOLE = """
k: 7
show: {in_stock: true, price_min: 0, price_max: 90.5, categories: [Red, White],
       exclude: {items: [w9], categories: [Port]}}
pins: [{item: w1, position: 1}, {item: w2, position: 3, from: 2026-12-01, until: 2026-12-24 18:30}]
boosts: [{items: [w3], categories: [Red], factor: 2.5, until: "2026-12-24T18:30:05+01:00"}]
caps: {default: 4, categories: {Red: 2}}
diversity: 0.2
dislikes: {not_interested: 1, low_stars: 0.5, remove_from_cart: 0.25, stars_below: 2}
rotation: {every: 90m, strength: 0.4}
explore: {share: 0.1, met_below: 8, every: 2d}
"""


@pytest.mark.parametrize(
    "text", [WHOLE, "", "show: {price_min: 0}", "explore: {share: 0.2}", "rotation: {every: 61s}"]
)
def test_what_is_shown_says_the_same_again(text: str) -> None:
    """A page's rules, written and read, are its rules; nothing is left out and nothing added."""
    rules = parse_rules(text, "shop.yaml").pages[Page.HOME]
    again = yaml.safe_dump(written(rules), sort_keys=False)
    assert parse_rules(again, "shown.yaml").pages[Page.HOME] == rules


def test_what_is_so_anyway_is_not_shown() -> None:
    """As little as the file says."""
    rules = parse_rules("rotation: {every: 90m}\nshow: {exclude: {items: [w1]}}", "shop.yaml")
    told = written(rules.pages[Page.EMAIL])
    assert told == {
        "show": {"exclude": {"items": ["w1"]}},
        "rotation": {"every": "90m", "strength": 0.2},
    }
    assert written(parse_rules("", "shop.yaml").pages[Page.HOME]) == {}
