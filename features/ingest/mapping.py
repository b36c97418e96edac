"""The declared mapping from a file's columns onto the event schema.

items:
  file: wines.csv
  columns:
    item_id: WineID
    price: {column: Price}
  attributes: [Grape, Region]
events:
  file: ratings.zip!ratings.csv
  columns:
    type: {value: rating}
    timestamp: {column: Date, format: "%Y-%m-%d %H:%M:%S", zone: UTC}
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

from features.errors import FieldError, InputError
from features.yaml_fields import (
    as_choice,
    as_mapping,
    parse_yaml,
    read_text,
    refuse_unknown,
    unknown,
)

TARGETS = {
    "items": ("item_id", "category", "price", "in_stock"),
    "events": (
        "event_id",
        "type",
        "user_id",
        "item_id",
        "timestamp",
        "value",
        "recommendation_id",
        "session_id",
        "context",
    ),
    "users": ("user_id", "country"),
}
"""What can be mapped, by table."""

AMOUNTS = ("price", "value")
"""Those of `TARGETS` that are numbers."""

REQUIRED = {
    "items": ("item_id", "category"),
    "events": ("type", "user_id", "timestamp"),
    "users": ("user_id",),
}
"""What must be mapped. Without `event_id`, ids are derived from the event itself."""


class Listing(StrEnum):
    """How a column of Python or JSON list literals becomes one text."""

    FIRST = "first"
    JOINED = "joined"


class AttributeKind(StrEnum):
    """What an attribute's values are; without one, numbers are recognised."""

    TEXT = "text"
    NUMBER = "number"


class Decimal(StrEnum):
    """What stands before the fraction of a number in a text."""

    POINT = "."
    COMMA = ","


class Unit(StrEnum):
    """What a numeric timestamp counts since 1970."""

    S = "s"
    MS = "ms"
    US = "us"


@dataclass(frozen=True, slots=True)
class Column:
    """Where one value comes from: the source column `column`, or the constant `value`."""

    column: str | None = None
    value: str | None = None
    format: str | None = None
    zone: str | None = None
    unit: Unit = Unit.S
    list: Listing | None = None
    kind: AttributeKind | None = None
    decimal: Decimal = Decimal.POINT
    scale: float = 1.0
    """What its numbers are multiplied with."""


@dataclass(frozen=True, slots=True)
class TableMapping:
    """How one table is read. Columns left out are looked for under their own names.

    Where no attributes are declared, every other column of items and users is one; those of
    events are kept only if declared, in the event's context.
    """

    file: str | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    attributes: Mapping[str, Column] | None = None
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: Decimal = Decimal.POINT
    """That of columns which are not declared."""


FileMapping = dict[str, TableMapping]
"""The mapping of each table that was declared."""


def load_mapping(path: Path) -> FileMapping:
    """Return the mapping in a YAML file, or raise `InputError` naming what is wrong in it."""
    return parse_mapping(parse_yaml(read_text(path), str(path)), str(path))


def parse_mapping(raw: object, name: str = "mapping") -> FileMapping:
    """Return the mapping declared by `raw`; `name` stands before every field in errors."""
    tables = as_mapping(raw, name)
    refuse_unknown(tables, TARGETS, name)
    return {table: _table(table, body, f"{name}: {table}") for table, body in tables.items()}


def override(mapping: FileMapping, flags: Collection[str]) -> FileMapping:
    """Return the mapping with each flag `TABLE.TARGET=COLUMN` put over it."""
    merged = dict(mapping)
    for flag in flags:
        target, equals, column = flag.partition("=")
        table, _, name = target.partition(".")
        if not (equals and column and name and table in TARGETS):
            raise InputError(f"--map {flag}: expected TABLE.TARGET=COLUMN, say events.user_id=User")
        if name not in TARGETS[table]:
            raise InputError(f"--map {flag}: {unknown(name, TARGETS[table])}")
        old = merged.get(table, TableMapping())
        before = old.columns.get(name, Column(decimal=old.decimal))
        changed = replace(before, column=column, value=None)
        merged[table] = replace(old, columns={**old.columns, name: changed})
    return merged


def _table(table: str, raw: object, where: str) -> TableMapping:
    body = as_mapping(raw, where)
    refuse_unknown(body, TableMapping.__dataclass_fields__, where)
    columns = as_mapping(body.get("columns", {}), f"{where}.columns")
    refuse_unknown(columns, TARGETS[table], f"{where}.columns")
    decimal = _decimal(body.get("decimal", Decimal.POINT), f"{where}.decimal")
    return TableMapping(
        file=_text(body.get("file"), f"{where}.file"),
        columns={
            k: _column(v, decimal, f"{where}.columns.{k}", is_amount=k in AMOUNTS)
            for k, v in columns.items()
        },
        attributes=_attributes(body.get("attributes"), decimal, f"{where}.attributes"),
        delimiter=_delimiter(body.get("delimiter", ","), f"{where}.delimiter"),
        encoding=_text(body.get("encoding"), f"{where}.encoding") or "utf-8",
        decimal=decimal,
    )


def _attributes(raw: object, decimal: Decimal, where: str) -> dict[str, Column] | None:
    if raw is None:
        return None
    named = {str(name): name for name in raw} if isinstance(raw, list) else raw
    columns = as_mapping(named, where).items()
    return {name: _column(each, decimal, f"{where}.{name}") for name, each in columns}


def _column(raw: object, decimal: Decimal, where: str, *, is_amount: bool = False) -> Column:
    if isinstance(raw, str | int):
        return Column(column=_text(raw, where), decimal=decimal)
    body = as_mapping(raw, where)
    refuse_unknown(body, Column.__dataclass_fields__, where)
    if ("column" in body) == ("value" in body):
        raise FieldError(where, "expected either a column or a constant value")
    if "scale" in body and not is_amount:
        raise FieldError(f"{where}.scale", f"only {' and '.join(AMOUNTS)} are scaled")
    return Column(
        column=_text(body.get("column"), f"{where}.column"),
        value=_text(body.get("value"), f"{where}.value"),
        format=_text(body.get("format"), f"{where}.format"),
        zone=_zone(body["zone"], f"{where}.zone") if body.get("zone") else None,
        unit=as_choice(Unit, body.get("unit", "s"), f"{where}.unit"),
        list=as_choice(Listing, body["list"], f"{where}.list") if body.get("list") else None,
        kind=as_choice(AttributeKind, body["kind"], f"{where}.kind") if body.get("kind") else None,
        decimal=_decimal(body.get("decimal", decimal), f"{where}.decimal"),
        scale=_scale(body.get("scale", 1), f"{where}.scale"),
    )


def _decimal(raw: object, where: str) -> Decimal:
    if raw not in tuple(Decimal):
        raise FieldError(where, f"expected '.' or ',' (in quotes), got {raw!r:.40}")
    return Decimal(str(raw))


def _scale(raw: object, where: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 < raw < math.inf:
        raise FieldError(where, f"expected a number above 0, say 0.01, got {raw!r:.40}")
    return float(raw)


def _text(raw: object, where: str) -> str | None:
    if isinstance(raw, bool):
        raise FieldError(where, f"expected a text, got {raw} (YAML's yes or no): quote it")
    if isinstance(raw, dict | list):
        raise FieldError(where, f"expected a text, got {raw!r:.40}")
    return None if raw is None else str(raw)


def _delimiter(raw: object, where: str) -> str:
    if not isinstance(raw, str) or len(raw.encode()) != 1:
        raise FieldError(where, f"expected one character, got {raw!r:.40}")
    return raw


def _zone(raw: object, where: str) -> str:
    try:
        ZoneInfo(str(raw))
    except (KeyError, ValueError, OSError):
        raise FieldError(where, f"expected a time zone, say Europe/Paris; got {raw!r}") from None
    return str(raw)
