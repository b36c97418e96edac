"""The declared mapping: what is understood, and how mistakes are named."""

from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError
from features.ingest.mapping import Column, Listing, Unit, load_mapping, override, parse_mapping

ROOT = Path(__file__).parents[3]


def test_a_mapping_declares_sources_constants_and_formats() -> None:
    """Every form of a column is understood."""
    tables = parse_mapping(
        {
            "events": {
                "file": "e.csv",
                "delimiter": ";",
                "columns": {
                    "user_id": "User",
                    "type": {"value": "rating"},
                    "timestamp": {"column": "At", "unit": "ms"},
                },
                "attributes": {"foods": {"column": "Harmonize", "list": "joined"}},
            },
            "items": {"attributes": ["Grape"]},
        }
    )

    assert tables["events"].columns == {
        "user_id": Column("User"),
        "type": Column(value="rating"),
        "timestamp": Column("At", unit=Unit.MS),
    }
    assert tables["events"].delimiter == ";"
    assert tables["events"].attributes == {"foods": Column("Harmonize", list=Listing.JOINED)}
    assert tables["items"].attributes == {"Grape": Column("Grape")}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "expected a mapping"),
        ({"event": {}}, "did you mean 'events'"),
        ({"events": {"colums": {}}}, "did you mean 'columns'"),
        ({"events": {"columns": {"userid": "U"}}}, "did you mean 'user_id'"),
        ({"events": {"columns": {"type": {}}}}, "either a column or a constant"),
        ({"events": {"columns": {"type": {"column": "a", "value": "b"}}}}, "either a column"),
        ({"events": {"columns": {"type": {"column": ["a"]}}}}, "expected a text"),
        ({"events": {"columns": {"timestamp": {"column": "a", "zone": "Mars"}}}}, "time zone"),
        ({"events": {"columns": {"timestamp": {"column": "a", "unit": "h"}}}}, "one of s, ms, us"),
        ({"items": {"attributes": {"g": {"column": "a", "list": "all"}}}}, "one of first, joined"),
        ({"users": {"columns": {"country": {"value": False}}}}, "got False .*quote it"),
        ({"users": {"columns": {"country": True}}}, "country: expected a text, got True"),
        ({"users": {"attributes": [False]}}, "expected a text, got False"),
        ({"items": {"delimiter": ",,"}}, "expected one character"),
        ({"items": {"decimal": ";"}}, r"items\.decimal: expected '\.' or ',' .*, got ';'"),
        ({"items": {"decimal": None}}, "decimal: expected .* got None"),
        ({"items": {"columns": {"price": {"column": "p", "decimal": []}}}}, r"price\.decimal: exp"),
        ({"items": {"columns": {"price": {"column": "p", "scale": 0}}}}, r"scale: .*above 0.* 0"),
        ({"items": {"columns": {"price": {"column": "p", "scale": "2"}}}}, "scale: .*got '2'"),
        ({"items": {"columns": {"price": {"column": "p", "scale": True}}}}, "scale: .*got True"),
        ({"items": {"columns": {"in_stock": {"column": "p", "scale": 2}}}}, "price and value are"),
        ({"items": {"attributes": {"a": {"column": "p", "scale": 2}}}}, "price and value are"),
    ],
)
def test_a_mistake_in_a_mapping_is_named(raw: Any, message: str) -> None:
    """The message says where and what was expected; a misspelling gets the nearest word."""
    with pytest.raises(InputError, match=message):
        parse_mapping(raw)


def test_flags_go_over_the_file() -> None:
    """`--map` changes the column and keeps how it is parsed."""
    declared = parse_mapping({"events": {"columns": {"timestamp": {"column": "a", "unit": "ms"}}}})

    merged = override(declared, ["events.timestamp=b", "users.user_id=U"])

    assert merged["events"].columns["timestamp"] == Column("b", unit=Unit.MS)
    assert merged["users"].columns == {"user_id": Column("U")}


@pytest.mark.parametrize("flag", ["user_id=U", "events.user_id", "events.=U", "orders.user_id=U"])
def test_a_flag_that_is_no_mapping_is_refused(flag: str) -> None:
    """The message shows the form."""
    with pytest.raises(InputError, match=r"expected TABLE\.TARGET=COLUMN"):
        override({}, [flag])
    with pytest.raises(InputError, match="did you mean 'user_id'"):
        override({}, ["events.user_ids=U"])


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    """Broken YAML, no text and no file are the user's to mend."""
    path = tmp_path / "m.yaml"
    with pytest.raises(InputError, match=r"m\.yaml: cannot be read: No such file or directory$"):
        load_mapping(path)
    path.write_text("events: [")
    with pytest.raises(InputError, match=r"m\.yaml: not YAML"):
        load_mapping(path)
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match=r"m\.yaml"):
        load_mapping(path)


def test_the_shipped_mapping_parses() -> None:
    """The mapping for X-Wines declares items and events."""
    assert set(load_mapping(ROOT / "docs" / "mappings" / "xwines.yaml")) == {"items", "events"}
