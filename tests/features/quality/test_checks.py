"""Every kind of rule on rows that are good, and on rows that are just not good enough."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from features.errors import InputError
from features.quality.checks import check
from features.quality.profile import TableProfile, profile_of
from features.quality.report import Finding
from features.quality.rules import parse_rules
from features.quality.steps import age_told, distance

NOW = datetime.now(UTC)


def items(rows: int = 200, **columns: Any) -> pl.LazyFrame:
    """Return some items, with columns of one's own."""
    told: dict[str, Any] = {
        "item_id": [f"i{n}" for n in range(rows)],
        "category": ["Red", "White"] * (rows // 2),
        "price": [10.0 + n % 10 for n in range(rows)],
        "in_stock": [True] * rows,
        "attributes": ['{"abv":"12.5","grape":"Merlot"}'] * rows,
    }
    return pl.DataFrame(told | columns).lazy()


def events(**columns: Any) -> pl.LazyFrame:
    """Return a hundred ratings and a hundred purchases."""
    told = {
        "type": ["rating", "purchase"] * 100,
        "value": [4.0, 20.0] * 100,
        "timestamp": [NOW - timedelta(hours=1)] * 200,
    }
    return pl.DataFrame(told | columns).lazy()


def judged(
    table: str, rule: str, rows: pl.LazyFrame, baselines: Mapping[str, TableProfile] | None = None
) -> list[Finding]:
    """Return the findings of one rule in YAML's flow style."""
    rules = parse_rules(f"{table}: [{{{rule}}}]", "r").all
    return [f for each in check(table, rows, rules, baselines or {}) for f in each.findings]


def verdicts(
    table: str, rule: str, rows: pl.LazyFrame, baselines: Mapping[str, TableProfile] | None = None
) -> list[bool | None]:
    """Return whether each expectation of a rule is met."""
    return [each.passed for each in judged(table, rule, rows, baselines)]


def some(value: Any, other: Any, count: int, rows: int = 200) -> list[Any]:
    """Return so many of `other`, all else `value`."""
    return [other] * count + [value] * (rows - count)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            "rule: completeness, columns: [category], null_threshold: 0.05",
            {"category": some("Red", None, 10)},
            {"category": some("Red", None, 11)},
        ),
        (
            "rule: completeness, columns: [attributes.grape]",
            {},
            {"attributes": some('{"grape":"Merlot"}', '{"abv":"1"}', 1)},
        ),
        (
            "rule: completeness, columns: [attributes.grape]",
            {},
            {"attributes": some('{"grape":"Merlot"}', None, 1)},
        ),
        (
            "rule: uniqueness, columns: [item_id], duplicate_threshold: 0.01",
            {"item_id": ["a", "a", *(f"i{n}" for n in range(198))]},
            {"item_id": ["a", "a", "a", *(f"i{n}" for n in range(197))]},
        ),
        (
            "rule: range, columns: [price], min: 1, max: 50",
            {"price": [1.0, 50.0, None, *[10.0] * 197]},
            {"price": some(10.0, 50.01, 1)},
        ),
        (
            "rule: range, columns: [price], max: 50",
            {"price": some(10.0, -5.0, 1)},
            {"price": some(10.0, float("nan"), 1)},
        ),
        (
            "rule: range, columns: [attributes.abv], min: 10",
            {"attributes": some('{"abv":12}', '{"abv":"10"}', 1)},
            {"attributes": some('{"abv":12}', '{"abv":"9.9"}', 1)},
        ),
        (
            "rule: allowed_values, columns: [category], values: [Red, White]",
            {"category": some("Red", None, 5)},
            {"category": some("Red", "red", 1)},
        ),
        (
            "rule: schema, types: {attributes.abv: number}",
            {"attributes": some('{"abv":12}', "{}", 3)},
            {"attributes": some('{"abv":12}', '{"abv":"much"}', 1)},
        ),
        (
            "rule: schema, types: {price: number}",
            {},
            {"price": ["10"] * 200},
        ),
    ],
)
def test_just_good_enough_and_just_not(
    rule: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    """A share at its threshold is allowed, one row more is not."""
    assert verdicts("items", rule, items(**good)) == [True]
    assert verdicts("items", rule, items(**bad)) == [False]


def test_a_column_that_is_not_there_breaks_the_schema() -> None:
    """Tables of others may lack it."""
    rule = "rule: schema, types: {price: number, category: text}"

    assert verdicts("items", rule, items().drop("price")) == [False, True]


def test_a_rule_about_a_column_that_is_not_there_is_told() -> None:
    """It cannot be checked: that is an error of its own, in one line."""
    with pytest.raises(InputError, match="items: the rules cannot be checked") as told:
        judged("items", "rule: statistics, columns: [price], mean_shift: 1", items().drop("price"))

    assert "\n" not in str(told.value)


def test_freshness_is_of_the_newest() -> None:
    """One fresh row is enough."""
    rule = "rule: freshness, columns: [timestamp], max_age: 2h"
    old = [NOW - timedelta(days=3)] * 199

    assert verdicts("events", rule, events(timestamp=[*old, NOW])) == [True]
    (finding,) = judged("events", rule, events(timestamp=[NOW - timedelta(days=3)] * 200))
    assert finding.passed is False
    told = "events.timestamp: freshness: expected the newest at most 2 hours old: 3"
    assert re.fullmatch(rf"{told}(\.0\d)? days old", str(finding))  # `NOW` was a while ago


def test_rules_of_a_part_look_at_its_rows_only() -> None:
    """Ratings have stars, purchases money."""
    rule = "rule: range, columns: [value], where: {type: rating}, min: 1, max: 5"

    (finding,) = judged("events", rule, events())
    assert (finding.rows, finding.passed) == ("events where type is rating", True)
    assert finding.found == "none of 100 rows otherwise"
    (finding,) = judged("events", rule, events(value=[40.0, 20.0] * 100))
    assert (finding.passed, finding.found) == (False, "100 of 100 rows otherwise (100.00%)")


@pytest.mark.parametrize(("rows", "verdict"), [(100, True), (99, False), (400, True), (401, False)])
def test_the_number_of_rows_is_compared_with_the_baseline(rows: int, verdict: bool) -> None:
    """Half as many and twice as many are just allowed."""
    rule = "rule: row_count, max_drop: 0.5, max_growth: 2"
    told = pl.DataFrame({"user_id": [f"u{n}" for n in range(rows)]}).lazy()

    assert verdicts("users", rule, told) == [None, None]
    found = verdicts("users", rule, told, {"users": TableProfile(200)})
    assert all(each is True for each in found) is verdict


@pytest.mark.parametrize(("rows", "verdict"), [(9, False), (10, True)])
def test_the_least_number_of_rows_needs_no_baseline(rows: int, verdict: bool) -> None:
    """It is a number."""
    told = pl.DataFrame({"user_id": [f"u{n}" for n in range(rows)]}).lazy()

    assert verdicts("users", "rule: row_count, min: 10", told) == [verdict]


@pytest.mark.parametrize(
    ("option", "rows", "good"),
    [
        ("mean_shift: 1", items(price=[12.0 + n % 10 for n in range(200)]), True),
        ("mean_shift: 1", items(price=[14.0 + n % 10 for n in range(200)]), False),
        ("mean_shift: 1", items(price=[6.0 + n % 10 for n in range(200)]), False),
        ("std_ratio: 3", items(price=[10.0 + 2 * (n % 10) for n in range(200)]), True),
        ("std_ratio: 3", items(price=[10.0 + 4 * (n % 10) for n in range(200)]), False),
        ("std_ratio: 3", items(price=[10.0 + 0.2 * (n % 10) for n in range(200)]), False),
        ("null_shift: 0.1", items(price=some(10.0, None, 20)), True),
        ("null_shift: 0.1", items(price=some(10.0, None, 21)), False),
    ],
)
def test_statistics_are_compared_with_the_baseline(
    option: str, rows: pl.LazyFrame, good: bool
) -> None:
    """The mean by standard deviations, the deviation by a factor, what is missing by a share."""
    rule = f"rule: statistics, columns: [price], {option}"
    baseline = {"items": profile_of(items(), ["price"])}

    assert verdicts("items", rule, rows, {}) == [None]
    assert all(verdicts("items", rule, items(), baseline))
    assert all(verdicts("items", rule, rows, baseline)) is good


def test_shares_of_values_are_compared_with_the_baseline() -> None:
    """Half Red, half White: a tenth of all may have changed over."""
    rule = "rule: statistics, columns: [category], share_shift: 0.1"
    baseline = {"items": profile_of(items(), ["category"])}

    assert verdicts("items", rule, items(category=some("Red", "White", 120)), baseline) == [True]
    assert verdicts("items", rule, items(category=some("Red", "White", 121)), baseline) == [False]


def test_few_rows_say_little() -> None:
    """Statistics of fewer than a hundred rows are not judged."""
    rule = "rule: statistics, columns: [price], mean_shift: 1"
    baseline = {"items": profile_of(items(), ["price"])}

    (finding,) = judged("items", rule, items(98, price=[900.0] * 98), baseline)

    assert (finding.passed, finding.found) == (None, "98 rows are too few")


def test_no_rows_at_all_break_nothing_but_counts() -> None:
    """An empty table is complete."""
    rows = items().head(0)

    assert verdicts("items", "rule: completeness, columns: [price]", rows) == [True]
    assert verdicts("items", "rule: row_count, min: 1", rows) == [False]


def test_the_distance_of_distributions() -> None:
    """Nothing, all of it, and half."""
    assert distance({"a": 1.0}, {"a": 1.0}) == 0
    assert distance({"a": 1.0}, {"b": 1.0}) == 1
    assert distance({"a": 1.0}, {"a": 0.5, "b": 0.5}) == 0.5


def test_a_part_without_rows_is_not_judged() -> None:
    """A word that is misspelt is no reason to pass."""
    rule = "rule: range, columns: [value], where: {type: ratings}, min: 1"

    (finding,) = judged("events", rule, events())

    assert (finding.passed, finding.found) == (None, "no rows")


@pytest.mark.parametrize("where", ["{value: 4}", "{value: 4.0}", "{type: [rating, session]}"])
def test_numbers_are_the_same_however_they_are_written(where: str) -> None:
    """Of a part, and of allowed values."""
    rule = f"rule: range, columns: [value], where: {where}, min: 1"

    (finding,) = judged("events", rule, events())

    assert finding.found == "none of 100 rows otherwise"
    years = items(attributes=some('{"year":2019.0}', '{"year":2020}', 100))
    rule = "rule: allowed_values, columns: [attributes.year], values: [2019, 2020.0]"
    assert verdicts("items", rule, years) == [True]


@pytest.mark.parametrize(("missing", "verdict"), [(29, True), (30, False)])
def test_a_share_is_so_many_rows(missing: int, verdict: bool) -> None:
    """29 % of a hundred are 29, though 0.29 times a hundred is a little less."""
    rule = "rule: completeness, columns: [category], null_threshold: 0.29"

    assert verdicts("items", rule, items(100, category=some("Red", None, missing, 100))) == [
        verdict
    ]


def test_missing_values_are_no_duplicates() -> None:
    """They are for completeness to judge."""
    rule = "rule: uniqueness, columns: [attributes.sku]"
    skus = [f'{{"sku":"s{n}"}}' for n in range(10)]

    assert verdicts("items", rule, items(attributes=[*skus, *["{}"] * 190])) == [True]
    assert verdicts("items", rule, items(attributes=[*skus, skus[0], *["{}"] * 189])) == [False]


def test_what_never_varied_may_not_begin_to() -> None:
    """A deviation of nothing is a baseline; no values at all are none."""
    rule = "rule: statistics, columns: [price], mean_shift: 3, std_ratio: 10"
    steady = {"items": profile_of(items(price=[9.0] * 200), ["price"])}
    nothing = {"items": profile_of(items(price=some(None, None, 0)), ["price"])}

    assert all(verdicts("items", rule, items(price=[9.0] * 200), steady))
    assert False in verdicts("items", rule, items(price=[9_000.0] * 200), steady)
    assert {each.found for each in judged("items", rule, items(), nothing)} == {
        "the baseline has no values"
    }


def test_free_form_truths() -> None:
    """They are true or false."""
    rule = "rule: schema, types: {attributes.organic: boolean}"

    assert verdicts("items", rule, items(attributes=some('{"organic":true}', "{}", 9))) == [True]
    assert verdicts("items", rule, items(attributes=some('{"organic":1}', "{}", 9))) == [False]


def test_prices_that_are_all_gone() -> None:
    """There is no mean to compare: that is not as expected."""
    rule = "rule: statistics, columns: [price], mean_shift: 3, std_ratio: 10, null_shift: 0.5"
    baseline = {"items": profile_of(items(), ["price"])}
    rows = items(price=pl.Series([None] * 200, dtype=pl.Float64))

    told = judged("items", rule, rows, baseline)

    assert [each.passed for each in told] == [False, False, False]
    assert {each.found for each in told} == {"no values", "200 of 200 rows otherwise (100.00%)"}


def test_a_value_that_no_row_has_is_not_judged() -> None:
    """It may be misspelt; that it is missing is for completeness to say."""
    assert verdicts("items", "rule: range, columns: [attributes.abw], min: 5", items()) == [None]
    assert verdicts("items", "rule: completeness, columns: [attributes.abw]", items()) == [False]


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(days=7), "7 days"),
        (timedelta(days=1), "24 hours"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(hours=1), "60 minutes"),
        (timedelta(seconds=30), "0.5 minutes"),
        (timedelta(days=-3), "-3 days"),
    ],
)
def test_ages_are_told_as_people_tell_them(age: timedelta, expected: str) -> None:
    """An hour is no small part of a day."""
    assert age_told(age) == expected
