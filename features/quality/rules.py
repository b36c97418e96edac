"""Rules of data quality, as they are declared in YAML.

events:
  - rule: range
    columns: [value]
    where: {type: rating}
    min: 1
    max: 5
    at: [ingest]

`CUVEE_QUALITY` names a file of one's own; without it the rules of `default.yaml` are in force.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from features.errors import FieldError, InputError
from features.named_file import read_named
from features.offline.tables import SCHEMAS
from features.quality.gates import Gate
from features.yaml_fields import (
    as_choice,
    as_list,
    as_mapping,
    parse_yaml,
    read_text,
    refuse_unknown,
    unknown,
)

VARIABLE = "CUVEE_QUALITY"

FREE_FORM = {"events": "context.", "items": "attributes.", "users": "attributes."}
"""What stands before the name of a free-form value, by table."""


WHOLE = r"^(-?\d+)\.0$"
"""A whole number written with a point: rules and rows name it without."""

NUMERIC = frozenset(("min", "max", "mean_shift", "std_ratio"))
"""Options, but those of row counts, that take columns for numbers."""


class Kind(StrEnum):
    """What a rule is about."""

    SCHEMA = "schema"
    COMPLETENESS = "completeness"
    UNIQUENESS = "uniqueness"
    RANGE = "range"
    ALLOWED_VALUES = "allowed_values"
    FRESHNESS = "freshness"
    ROW_COUNT = "row_count"
    STATISTICS = "statistics"


class Type(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Rule:
    """What good rows of a table are like; `options` are those of its kind, all present."""

    table: str
    kind: Kind
    columns: tuple[str, ...]
    options: Mapping[str, Any]
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    at: frozenset[Gate] = frozenset(Gate)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, and the text that declared them."""

    all: tuple[Rule, ...]
    source: str

    def of(self, table: str, gate: Gate) -> list[Rule]:
        """Return the rules of `table` that are in force at `gate`."""
        return [rule for rule in self.all if rule.table == table and gate in rule.at]


def rules_in_force(path: Path | None = None) -> Rules:
    """Return the rules of `path`, of `CUVEE_QUALITY`, or the default ones.

    Raises `InputError` naming the field that cannot be used.
    """
    return read_named(_read_rules, VARIABLE, path) or _default()


def _read_rules(path: Path) -> Rules:
    return parse_rules(read_text(path), str(path))


def _default() -> Rules:
    text = (resources.files("features.quality") / "default.yaml").read_text(encoding="utf-8")
    return parse_rules(text, "default.yaml")


def parse_rules(text: str, name: str) -> Rules:
    """Return the rules that the YAML `text` declares; `name` stands before fields in errors."""
    tables = as_mapping(parse_yaml(text, name), name)
    refuse_unknown(tables, SCHEMAS, name)
    told = []
    for table, listed in tables.items():
        where = f"{name}: {table}"
        told += [
            _rule(table, each, f"{where}[{n}]") for n, each in enumerate(as_list(listed, where))
        ]
    if not told:
        raise InputError(f"{name}: expected rules of {', '.join(SCHEMAS)}, got none at all")
    return Rules(tuple(told), text)


def _rule(table: str, raw: object, where: str) -> Rule:
    body = as_mapping(raw, where)
    kind = as_choice(Kind, body.get("rule"), f"{where}.rule")
    options = _OPTIONS[kind]
    has_columns = kind not in (Kind.SCHEMA, Kind.ROW_COUNT)
    common = ("rule", "columns", "where", "at") if has_columns else ("rule", "where", "at")
    refuse_unknown(body, (*common, *options), where)
    columns = _texts(body.get("columns"), f"{where}.columns") if has_columns else ()
    for column in columns:
        _check_column(table, column, f"{where}.columns")
    told = {
        name: option.default
        if body.get(name) is None
        else option.parse(body[name], f"{where}.{name}")
        for name, option in options.items()
    }
    if all(value is None for value in told.values()):
        raise FieldError(where, f"expected one of {', '.join(options)}")
    if kind is Kind.RANGE and None not in (told["min"], told["max"]) and told["min"] > told["max"]:
        raise FieldError(
            where, f"expected min at most max, got {told['min']:g} and {told['max']:g}"
        )
    for column in columns:
        _check_type(table, column, kind, told, f"{where}.columns")
    for column, kind_of in (told.get("types") or {}).items():
        _check_column(table, column, f"{where}.types")
        if kind_of is Type.TIMESTAMP and column.startswith(FREE_FORM[table]):
            expected = "expected text, number or boolean of a free-form value"
            raise FieldError(f"{where}.types.{column}", f"{expected}, got timestamp")
    return Rule(table, kind, columns, told, _where(table, body, where), _gates(body, where))


def _where(table: str, body: Mapping[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    where = f"{where}.where"
    told = as_mapping(body.get("where") or {}, where)
    for column in told:
        _check_column(table, column, where)
    return {
        column: _texts(values if isinstance(values, list) else [values], f"{where}.{column}")
        for column, values in told.items()
    }


def _gates(body: Mapping[str, Any], where: str) -> frozenset[Gate]:
    if body.get("at") is None:
        return frozenset(Gate)
    return frozenset(as_choice(Gate, each, f"{where}.at") for each in as_list(body["at"], where))


def _check_column(table: str, column: str, where: str) -> None:
    free = FREE_FORM[table]
    if not (column.startswith(free) and column != free) and column not in SCHEMAS[table].names:
        told = unknown(column, SCHEMAS[table].names)
        raise FieldError(where, f"{told} (free-form values are {free}NAME)")


def _check_type(
    table: str, column: str, kind: Kind, options: Mapping[str, Any], where: str
) -> None:
    if column.startswith(FREE_FORM[table]):
        if kind is Kind.FRESHNESS:
            raise FieldError(where, f"freshness is of timestamps, {column} is a free-form value")
        return
    is_numeric = any(options.get(name) is not None for name in NUMERIC)
    needed = Type.NUMBER if is_numeric else _NEEDED.get(kind)
    if options.get("share_shift") is not None:
        needed = Type.TEXT
    told = _TOLD[str(SCHEMAS[table].field(column).type)]
    if needed not in (None, told):
        raise FieldError(where, f"{kind} is of a {needed} here, {column} is a {told}")


_NEEDED = {Kind.FRESHNESS: Type.TIMESTAMP, Kind.ALLOWED_VALUES: Type.TEXT}
_TOLD = {
    "string": Type.TEXT,
    "double": Type.NUMBER,
    "bool": Type.BOOLEAN,
    "timestamp[us, tz=UTC]": Type.TIMESTAMP,
}


@dataclass(frozen=True, slots=True)
class _Option:
    parse: Callable[[Any, str], Any]
    default: Any = None


def _number(raw: object, where: str, low: float = -1e300, high: float = 1e300) -> float:
    try:
        number = float(raw) if isinstance(raw, int | float) else math.nan
    except OverflowError:
        number = math.nan
    if isinstance(raw, bool) or not low <= number <= high:  # also refuses NaN
        bounds = "" if low <= -1e300 else f" from {low:g}" + (f" to {high:g}" * (high < 1e300))
        raise FieldError(where, f"expected a number{bounds}, got {raw!r:.40}")
    return number


_share = partial(_number, low=0, high=1)
_positive = partial(_number, low=0)
_factor = partial(_number, low=1)
_SPAN = re.compile(r"(\d{1,6})\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _span(raw: object, where: str) -> timedelta:
    told = _SPAN.fullmatch(str(raw))
    if told is None:
        raise FieldError(where, f"expected a time like 30m, 12h or 7d, got {raw!r:.40}")
    return timedelta(seconds=int(told[1]) * _SECONDS[told[2]])


def _texts(raw: object, where: str) -> tuple[str, ...]:
    listed = as_list(raw, where)
    if any(isinstance(each, bool) for each in listed):
        raise FieldError(
            where, f"expected texts, got {listed!r:.40}: quote what YAML takes for truths"
        )
    if not listed or not all(isinstance(each, str | int | float) for each in listed):
        raise FieldError(where, f"expected a list of names or values, got {raw!r:.40}")
    return tuple(re.sub(WHOLE, r"\1", str(each)) for each in listed)


def _types(raw: object, where: str) -> dict[str, Type]:
    told = as_mapping(raw, where)
    return {name: as_choice(Type, each, f"{where}.{name}") for name, each in told.items()}


_OPTIONS: dict[Kind, dict[str, _Option]] = {
    Kind.SCHEMA: {"types": _Option(_types)},
    Kind.COMPLETENESS: {"null_threshold": _Option(_share, 0.0)},
    Kind.UNIQUENESS: {"duplicate_threshold": _Option(_share, 0.0)},
    Kind.RANGE: {"min": _Option(_number), "max": _Option(_number)},
    Kind.ALLOWED_VALUES: {"values": _Option(_texts)},
    Kind.FRESHNESS: {"max_age": _Option(_span)},
    Kind.ROW_COUNT: {
        "min": _Option(_positive),
        "max_drop": _Option(_share),
        "max_growth": _Option(_factor),
    },
    Kind.STATISTICS: {
        "mean_shift": _Option(_positive),
        "std_ratio": _Option(_factor),
        "null_shift": _Option(_share),
        "share_shift": _Option(_share),
    },
}
