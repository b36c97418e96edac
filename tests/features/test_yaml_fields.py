"""What is declared in YAML is what stands there, or the mistake is told with its place."""

import pytest

from features.errors import InputError
from features.yaml_fields import parse_yaml


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("items: [1]\nevents: []\nitems: []\n", "'items' stands twice .*line 3, column 1"),
        ("a: {b: {c: 1, 'c': 2}}", "'c' stands twice .*line 1, column 15"),
        ("a:\n  since: 2026-13-45\n", "month must be in 1..12 .*line 2, column 10"),
        ("a: !!int x", "invalid literal .*line 1, column 4"),
        ("[" * 3_000, "nested too deeply"),
        ("a: [", "while parsing a flow node"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, told: str) -> None:
    """YAML's own would take the last of two names, and end with a traceback at such a day."""
    with pytest.raises(InputError, match=f"^f.yaml: not YAML.*{told}"):
        parse_yaml(text, "f.yaml")


def test_a_mapping_may_bring_in_others_and_differ() -> None:
    """So often as it likes, and wherever the others stand."""
    text = """
        usual: &usual {min: 1, max: 5}
        list: [{high: &high {<<: *usual, max: 9}}]
        both: {<<: *high, min: 2}
    """
    told = parse_yaml(text, "f.yaml")
    assert told == {
        "usual": {"min": 1, "max": 5},
        "list": [{"high": {"min": 1, "max": 9}}],
        "both": {"min": 2, "max": 9},
    }


def test_where_a_mistake_is_names_the_file_and_nothing_else() -> None:
    """YAML's word for a text without a name says nothing to whoever wrote it."""
    with pytest.raises(InputError) as refused:
        parse_yaml("a: [", "f.yaml")
    assert "at line 1, column 5" in str(refused.value)
    assert "unicode" not in str(refused.value)


@pytest.mark.parametrize("text", ["00113", "007", "1_000", "0x1F", "12:30", "+"])
def test_an_id_of_digits_is_what_is_written(text: str) -> None:
    """YAML's own takes these for numbers of other bases: a pin would hold another item."""
    assert parse_yaml(f"item: {text}", "f.yaml") == {"item": text}


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("42", 42), ("-7", -7), ("0.5", 0.5)])
def test_numbers_are_numbers(text: str, number: float) -> None:
    """As people write them."""
    assert parse_yaml(text, "f.yaml") == number
