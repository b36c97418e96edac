"""What a monitor of performance left, as the page shows it: any figures, with their intervals.

Nothing is asked of the file but that it is JSON. Wherever in it a number stands with its bounds,
`{"value": 0.12, "low": 0.11, "high": 0.13, …}`, that is a figure with an interval, named by what
leads to it; a number alone is a figure without one, and everything else is words.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from server.ui.findings import read_findings

PERFORMANCE_FINDINGS = Path("performance") / "findings.json"
"""Below CUVEE_HOME."""

MOST_FIGURES = 200
MOST_WORDS = 60
DEEPEST = 8
LONGEST_WORD = 200

VALUES = ("value", "estimate", "mean")
BOUNDS = (("low", "high"), ("lower", "upper"))
INTERVALS = ("interval", "ci")
NAMES = ("metric", "name", "figure", "segment")
"""Fields that name an entry of a list."""

STATES = ("state", "severity")
"""Fields that say what is thought of a figure."""

LAST_MS = 253_402_300_800_000
"""The year 10,000."""

Trail = tuple[str, ...]
"""The names that lead to a place in the file."""


class Figure(NamedTuple):
    """A number, its bounds where it has any, and in words what else was told of it."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    state: str = ""
    besides: str = ""


class Words(NamedTuple):
    """What is no number."""

    name: str
    text: str


def performance_part(path: Path) -> dict[str, Any] | None:
    """Return the findings, bounded, and when they were left; None where there are none.

    Raises as `read_findings`.
    """
    told = read_findings(path)
    if told is None:
        return None
    found = list(_walk((), told))
    figures = [each for each in found if isinstance(each, Figure)]
    figures.sort(key=lambda each: not str(each.state).startswith("worse"))  # not to be cut off
    words = [each for each in found if isinstance(each, Words)]
    return {
        "found_ms": path.stat().st_mtime * 1_000,
        "figures": [each._asdict() for each in figures[:MOST_FIGURES]],
        "words": [tuple(each) for each in words[:MOST_WORDS]],
        "left_out": max(len(figures) - MOST_FIGURES, 0) + max(len(words) - MOST_WORDS, 0),
    }


def _walk(trail: Trail, node: object, *, is_entry: bool = False) -> Iterator[Figure | Words]:
    key = trail[-1] if trail else ""
    if isinstance(node, Mapping) and len(trail) < DEEPEST:
        yield from _walk_object(trail, node, is_entry=is_entry)
    elif isinstance(node, list) and len(trail) < DEEPEST:
        for at, each in enumerate(node, 1):
            yield from _walk((*trail, _name_of(each) or str(at)), each, is_entry=True)
    elif _is_number(node) and not _is_moment(key):
        yield Figure(_name(trail), node)
    elif node is not None:
        yield Words(_name(trail), _text(key, node))


def _walk_object(
    trail: Trail, node: Mapping[str, Any], *, is_entry: bool
) -> Iterator[Figure | Words]:
    """Yield a figure and what is below it; what is no figure is told field by field.

    An entry of a list that is no figure is one row of words.
    """
    plain = {key for key, each in node.items() if not isinstance(each, dict | list)}
    bounded = _bounded(node)
    told: set[str] = set()
    if bounded is not None:
        told = plain | bounded.fields
        state = " ".join(str(node[key]) for key in STATES if node.get(key) is not None)
        besides = _listed(node, plain - bounded.fields - set(STATES))
        yield Figure(_name(trail), bounded.value, bounded.low, bounded.high, state, besides)
    elif is_entry and plain:
        told = plain
        yield Words(_name(trail), _listed(node, plain))
    for key, each in node.items():
        if key not in told:
            yield from _walk((*trail, key), each)


def _listed(node: Mapping[str, Any], fields: set[str]) -> str:
    """Return fields with what they hold, without names and what is not known."""
    shown = (key for key in node if key in fields - set(NAMES) and node[key] is not None)
    return ", ".join(f"{key} {_text(key, node[key])}" for key in shown)[:LONGEST_WORD]


def _name(trail: Trail) -> str:
    return " / ".join(trail)[:LONGEST_WORD]


class Bounded(NamedTuple):
    """A number with its bounds, and the fields of an object that hold them."""

    value: float
    low: float
    high: float
    fields: set[str]


def _bounded(node: Mapping[str, Any]) -> Bounded | None:
    value = next((key for key in VALUES if _is_number(node.get(key))), None)
    if value is None:
        return None
    if (bounds := _bounds(node)) is not None:
        low, high = bounds
        return Bounded(node[value], node[low], node[high], {value, low, high})
    for key in INTERVALS:
        if (ends := _ends(node.get(key))) is not None:
            return Bounded(node[value], *ends, {value, key})
    return None


def _bounds(node: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the fields of an object that hold bounds."""
    for low, high in BOUNDS:
        if _is_number(node.get(low)) and _is_number(node.get(high)):
            return low, high
    return None


def _ends(told: object) -> tuple[float, float] | None:
    """Return the bounds that an interval holds, by their names or as a pair."""
    if isinstance(told, Mapping) and (bounds := _bounds(told)) is not None:
        return told[bounds[0]], told[bounds[1]]
    if isinstance(told, list) and len(told) == 2 and all(map(_is_number, told)):
        return told[0], told[1]
    return None


def _name_of(entry: object) -> str:
    """Return what an entry of a list is called, empty where it does not say."""
    if not isinstance(entry, Mapping):
        return ""
    return " ".join(entry[key] for key in NAMES if isinstance(entry.get(key), str))


def _is_number(told: object) -> TypeGuard[float]:
    return isinstance(told, int | float) and not isinstance(told, bool)


def _is_moment(key: str) -> bool:
    """Tell whether a field holds milliseconds since 1970, as `start_ms` does."""
    return key.endswith("_ms")


def _text(key: str, told: object) -> str:
    if _is_moment(key) and _is_number(told) and 0 <= told < LAST_MS:
        return f"{datetime.fromtimestamp(told / 1_000, UTC):%Y-%m-%d %H:%M} UTC"
    return str(told)[:LONGEST_WORD]
