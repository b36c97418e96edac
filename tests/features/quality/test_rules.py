"""Rules in YAML: what they may say, and how a mistake is named."""

from datetime import timedelta
from pathlib import Path

import pytest

from features.errors import InputError
from features.quality.gates import Gate
from features.quality.rules import Kind, Type, parse_rules, rules_in_force


def test_a_rule_has_all_options_of_its_kind() -> None:
    """What is left out has its default; words become values."""
    (rule,) = parse_rules("events: [{rule: completeness, columns: [user_id]}]", "r").all

    assert (rule.table, rule.kind, rule.columns) == ("events", Kind.COMPLETENESS, ("user_id",))
    assert rule.options == {"null_threshold": 0.0}
    assert (rule.where, rule.at) == ({}, frozenset(Gate))


def test_words_of_every_kind() -> None:
    """Ages, types, parts and gates are read as what they mean."""
    text = """
    events:
      - {rule: freshness, columns: [timestamp], max_age: 36h, at: [ingest]}
      - {rule: range, columns: [value], min: 1, where: {type: [rating, purchase]}}
    items:
      - {rule: schema, types: {attributes.abv: number}}
      - {rule: allowed_values, columns: [category], values: [Red, 7]}
    """

    fresh, ranged, schema, allowed = parse_rules(text, "r").all

    assert fresh.options["max_age"] == timedelta(hours=36)
    assert fresh.at == {Gate.INGEST}
    assert ranged.options == {"min": 1.0, "max": None}
    assert ranged.where == {"type": ("rating", "purchase")}
    assert schema.options["types"] == {"attributes.abv": Type.NUMBER}
    assert allowed.options["values"] == ("Red", "7")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "r: not YAML"),
        ("[]", "r: expected a mapping, got []"),
        ("", "r: expected a mapping, got None"),
        ("events: []", "r: expected rules of events, items, users, got none at all"),
        ("- 1", "r: expected a mapping, got [1]"),
        ("event: []", "r: there is no 'event'; did you mean 'events'?"),
        ("events: {}", "r: events: expected a list, got {}"),
        ("events: [1]", "r: events[0]: expected a mapping, got 1"),
        ("events: [{}]", "r: events[0].rule: expected one of schema, completeness,"),
        ("events: [{rule: fresh}]", "got 'fresh'"),
        (
            "events: [{rule: range, columns: [value], mim: 1}]",
            "r: events[0]: there is no 'mim'; did you mean 'min'?",
        ),
        ("events: [{rule: range, columns: [value]}]", "r: events[0]: expected one of min, max"),
        ("events: [{rule: range, min: 1}]", "r: events[0].columns: expected a list, got None"),
        ("events: [{rule: range, min: 1, columns: []}]", "expected a list of names or values"),
        (
            "events: [{rule: range, columns: [valu], min: 1}]",
            "did you mean 'value'? (free-form values are context.NAME)",
        ),
        (
            "events: [{rule: range, columns: [type], min: 1}]",
            "r: events[0].columns: range is of a number here, type is a text",
        ),
        (
            "items: [{rule: freshness, columns: [price], max_age: 1d}]",
            "freshness is of a timestamp here, price is a number",
        ),
        (
            "items: [{rule: freshness, columns: [attributes.since], max_age: 1d}]",
            "freshness is of timestamps, attributes.since is a free-form value",
        ),
        (
            "items: [{rule: statistics, columns: [price], share_shift: 0.1}]",
            "statistics is of a text here, price is a number",
        ),
        (
            "users: [{rule: completeness, columns: [country], null_threshold: 5}]",
            "r: users[0].null_threshold: expected a number from 0 to 1, got 5",
        ),
        (
            "users: [{rule: completeness, columns: [country], null_threshold: .nan}]",
            "r: users[0].null_threshold: expected a number from 0 to 1, got nan",
        ),
        (
            f"users: [{{rule: row_count, min: {'9' * 400}}}]",
            "users[0].min: expected a number from 0, got 999",
        ),
        (
            "events: [{rule: range, columns: [value], min: 5, max: 1}]",
            "events[0]: expected min at most max, got 5 and 1",
        ),
        (
            "users: [{rule: allowed_values, columns: [country], values: [NO, SE]}]",
            "users[0].values: expected texts, got [False, 'SE']: quote what YAML takes for",
        ),
        (
            "items: [{rule: schema, types: {attributes.since: timestamp}}]",
            "types.attributes.since: expected text, number or boolean of a free-form value",
        ),
        ("users: [{rule: row_count, max_growth: 0.5}]", "expected a number from 1, got 0.5"),
        ("users: [{rule: row_count, min: true}]", "expected a number from 0, got True"),
        (
            "events: [{rule: freshness, columns: [timestamp], max_age: 3 weeks}]",
            "max_age: expected a time like 30m, 12h or 7d, got '3 weeks'",
        ),
        ("items: [{rule: schema, types: {price: float}}]", "expected one of text, number, "),
        ("items: [{rule: schema, types: {prize: number}}]", "did you mean 'price'?"),
        ("items: [{rule: row_count, min: 1, at: [train]}]", "expected one of ingest, materialize"),
        ("items: [{rule: row_count, min: 1, where: {kind: a}}]", "items[0].where: there is no"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    """The field, the value, and what was expected, in one line."""
    with pytest.raises(InputError) as told:
        parse_rules(text, "r")

    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_of_ones_own_replaces_the_default_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`CUVEE_QUALITY` names it; one named in the call goes before; one that is gone is told."""
    assert {rule.table for rule in rules_in_force().all} == {"events", "items", "users"}
    own, other = tmp_path / "own.yaml", tmp_path / "other.yaml"
    own.write_text("users: [{rule: row_count, min: 5}]")
    other.write_text("users: [{rule: row_count, min: 6}, {rule: row_count, min: 7}]")

    monkeypatch.setenv("CUVEE_QUALITY", str(own))

    assert len(rules_in_force().all) == 1
    assert len(rules_in_force(other).all) == 2
    own.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        rules_in_force()
