"""What rows of a file must hold, by table: the rules of `features.events.parse_event`, at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from features.events import (
    AHEAD,
    AHEAD_S,
    CONTROL,
    LATEST_S,
    MAX_STARS,
    OUTSIDE,
    VALUE_SCALE,
    EventType,
)
from features.ids import MAX_ID_LENGTH
from features.ingest import parsing
from features.ingest.columns_used import ATTRIBUTE
from features.ingest.mapping import REQUIRED, TARGETS, AttributeKind, Column, Decimal

RAW = "raw:"
"""What stands before the name of a target, as its column stood in the file."""

REQUIRED_ROWS = {**REQUIRED, "events": ("event_id", *REQUIRED["events"])}
"""What every row must hold: ids of events too, where their column is mapped at all."""

FINITE = "expected a number that is finite, as the others are: leave the cell empty"

_MAX_VALUE = (2**31 - 1) / VALUE_SCALE
_NUMBER = {
    Decimal.POINT: "expected a number, with a decimal point if any (a comma? declare decimal: ',')",
    Decimal.COMMA: "expected a number, with a decimal comma if any, and no point",
}
_STARS = f"expected 0 to {MAX_STARS} stars: declare {{column: …, scale: 0.5}} for stars of ten"
_TYPES = [str(kind) for kind in EventType]


@dataclass(frozen=True, slots=True)
class RowRule:
    """What a good row never is: `broken` is true for rows to refuse because of `target`."""

    target: str
    broken: pl.Expr
    why: str


def row_rules(
    table: str,
    columns: Mapping[str, Column],
    types: Mapping[str, pl.DataType],
    items: pl.Series | None,
    now_s: float,
) -> list[RowRule]:
    """Return the rules of a table's rows, the first that a row breaks first.

    They look at raw columns, named `RAW` and the target, and at those parsed. `items` are the
    known item ids: events that name another break a rule; None where any may be named.
    """
    rules = [RowRule(t, _is_empty(t), "required") for t in REQUIRED_ROWS[table]]
    ids = [target for target in TARGETS[table] if target.endswith("_id")]
    rules += [RowRule(t, _bad_id(t), f"expected 1 to {MAX_ID_LENGTH} characters") for t in ids]
    rules += [RowRule(t, _has_control(t), "expected no control characters") for t in ids]
    rules += [_unparsed(t, "expected a text or a whole number") for t in ids]
    if table == "events":
        rules += _event_rules(columns, types, items, now_s + AHEAD_S)
    if table == "items":
        rules.append(_unparsed("in_stock", "expected true or false"))
        rules += _amount_rules("price", columns)
    for target, column in columns.items():
        if column.list is not None:
            rules.append(_unparsed(target, "expected a list, say ['Merlot', 'Malbec']"))
        elif column.kind is AttributeKind.NUMBER:
            why = _NUMBER[column.decimal]
            rules += [_unparsed(target, why), _infinite(target)]
        elif target.startswith(ATTRIBUTE) and types[target].is_float():
            rules += [] if column.kind is AttributeKind.TEXT else [_infinite(target)]
    return rules


def first_broken(rules: list[RowRule]) -> pl.Expr:
    """Return the number of the first rule that a row breaks, null for a good one."""
    return pl.coalesce(
        *(pl.when(rule.broken).then(pl.lit(index)) for index, rule in enumerate(rules))
    )


def _is_empty(target: str) -> pl.Expr:
    """Tell where nothing stands, or nothing but blanks."""
    absent = pl.col(RAW + target).is_null()
    return absent | (parsing.trimmed(RAW + target) == "")


def _bad_id(target: str) -> pl.Expr:
    return ~pl.col(target).str.len_chars().is_between(1, MAX_ID_LENGTH)


def _has_control(target: str) -> pl.Expr:
    return pl.col(target).str.contains(CONTROL.pattern)


def _unparsed(target: str, why: str) -> RowRule:
    return RowRule(target, pl.col(target).is_null() & pl.col(RAW + target).is_not_null(), why)


def _infinite(target: str) -> RowRule:
    return RowRule(target, ~pl.col(target).is_finite(), FINITE)


def _amount_rules(target: str, columns: Mapping[str, Column]) -> list[RowRule]:
    if target not in columns:
        return []
    beyond = ~pl.col(target).is_between(0, _MAX_VALUE) | pl.col(target).is_nan()
    return [
        _unparsed(target, _NUMBER[columns[target].decimal]),
        RowRule(target, beyond, f"expected a number from 0 to {_MAX_VALUE:,.2f}"),
    ]


def _event_rules(
    columns: Mapping[str, Column],
    types: Mapping[str, pl.DataType],
    items: pl.Series | None,
    until_s: float,
) -> list[RowRule]:
    kind = pl.col("type")
    no_item = pl.col("item_id").is_null() if "item_id" in columns else pl.lit(value=True)
    no_value = pl.col("value").is_null() if "value" in columns else pl.lit(value=True)
    column = columns["timestamp"]
    item_target = "item_id" if "item_id" in columns else "type"
    rules = [
        RowRule("type", ~kind.is_in(_TYPES), f"expected one of {', '.join(_TYPES)}"),
        *_time_rules(column, types["timestamp"], until_s),
        *_amount_rules("value", columns),
        RowRule("value", (kind == "rating") & (pl.col("value") > MAX_STARS), _STARS),
        RowRule(
            "value" if "value" in columns else "type",
            (kind == "rating") & no_value,
            "a rating needs a value: the stars",
        ),
        RowRule(
            item_target, (kind != "session") & no_item, "an item_id is required but for sessions"
        ),
        RowRule("context", _bad_contexts(), "expected a JSON object"),
    ]
    if items is not None:
        rules.append(RowRule("item_id", ~pl.col("item_id").is_in(items.implode()), "no such item"))
    return rules


def _time_rules(column: Column, dtype: pl.DataType, until_s: float) -> list[RowRule]:
    since = parsing.seconds(RAW + "timestamp", dtype, column)
    moment = pl.col("timestamp")
    expected = f"the format {column.format}" if column.format else "seconds since 1970 or ISO 8601"
    return [
        RowRule(
            "timestamp",
            since.is_between(1e11, LATEST_S * 1e3),
            "looks like milliseconds: declare {column: …, unit: ms}",
        ),
        RowRule(
            "timestamp",
            parsing.is_date(since),
            "looks like a date: declare {column: …, format: '%Y%m%d'}",
        ),
        RowRule(
            "timestamp",
            since.is_between(1e14, LATEST_S * 1e6),
            "looks like microseconds: declare {column: …, unit: us}",
        ),
        RowRule(
            "timestamp",
            ~since.is_between(0, LATEST_S) | ~moment.dt.epoch("us").is_between(0, LATEST_S * 1e6),
            OUTSIDE,
        ),
        RowRule(
            "timestamp",
            moment.dt.epoch("us") > until_s * 1e6,
            AHEAD,
        ),
        _unparsed("timestamp", f"expected {expected}"),
    ]


def _bad_contexts() -> pl.Expr:
    return pl.col("context").map_batches(
        lambda texts: pl.Series([_is_bad_context(each) for each in texts], dtype=pl.Boolean),
        return_dtype=pl.Boolean,
    )


def _is_bad_context(text: str | None) -> bool:
    try:
        return text is not None and not isinstance(json.loads(text), dict)
    except ValueError:
        return True
