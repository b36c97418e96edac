"""From a batch of a file to rows of a table: every value parsed, every rule checked, at once.

A row breaks the first of its table's rules that it breaks; it is refused with the value as it
stood in the file. The rules are those of `features.events.parse_event`.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import polars as pl

from features.errors import InputError
from features.events import (
    AHEAD,
    AHEAD_S,
    CONTROL,
    LATEST_S,
    MAX_STARS,
    VALUE_SCALE,
    EventType,
)
from features.ids import MAX_ID_LENGTH
from features.ingest import parsing
from features.ingest.columns_used import ATTRIBUTE, ColumnsUsed
from features.ingest.mapping import (
    AMOUNTS,
    REQUIRED,
    TARGETS,
    AttributeKind,
    Column,
    Decimal,
    TableMapping,
)
from features.ingest.sources import FileBatch
from features.ingest.zones import BARE, Zones
from features.quality.refusals import Refusal
from features.yaml_fields import unknown

_RAW = "raw:"
_ROW = "row"
_BROKEN = "broken"
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


@dataclass(frozen=True, slots=True)
class Conformed:
    """The good rows, with `row` beside the table's columns, and the refused ones, named."""

    frame: pl.DataFrame
    refused: list[Refusal]


@dataclass(frozen=True, slots=True)
class Conformer:
    """Brings batches of the file `name` into the form of `table`."""

    table: str
    name: str
    mapping: TableMapping
    items: pl.Series | None = None
    """The known item ids; events that name another are refused."""
    zones: Zones = field(default_factory=Zones)
    clock: Callable[[], float] = time.time

    def __call__(self, batch: FileBatch, room: int) -> Conformed:
        """Return the good rows, and up to `room` of the refused.

        Raises `InputError` where the file lacks a column that is needed or was mapped.
        """
        bad = [Refusal(self.name, each.row, "", each.text, each.why) for each in batch.bad]
        if not batch.frame.width:
            return Conformed(pl.DataFrame(), bad[:room])
        columns = self._columns(batch.frame)
        raw = batch.frame.select(
            pl.Series(_ROW, batch.rows),
            *(_source(column).alias(_RAW + target) for target, column in columns.items()),
        )
        types = {name.removeprefix(_RAW): dtype for name, dtype in raw.schema.items()}
        self._check_types(columns, types)
        parsed = raw.with_columns(
            _PARSERS.get(target, parsing.attribute)(_RAW + target, types[target], column).alias(
                target
            )
            for target, column in columns.items()
        )
        rules = [rule for rule in self._rules(columns, types) if rule.target in columns]
        rules += self._zone_rules(columns, raw)
        checked = parsed.with_columns(_first_broken(rules).alias(_BROKEN))
        good = checked.filter(pl.col(_BROKEN).is_null()).select(_ROW, *columns)
        refused = checked.filter(pl.col(_BROKEN).is_not_null()).head(room)
        return Conformed(self._finished(good), self._merge(bad, refused, rules, columns)[:room])

    def used(self, frame: pl.DataFrame) -> ColumnsUsed:
        """Return what becomes of the columns of a file."""
        return ColumnsUsed.of(self.table, self._columns(frame), frame.columns)

    def _columns(self, frame: pl.DataFrame) -> dict[str, Column]:
        """Return where each target comes from, attributes included."""
        columns = {}
        for target in TARGETS[self.table]:
            undeclared = Column(column=target, decimal=self.mapping.decimal)
            column = self.mapping.columns.get(target, undeclared)
            if column.column is None or column.column in frame.columns:
                columns[target] = column
            elif target in self.mapping.columns:
                raise InputError(
                    f"{self.name}: {self.table}.{target}: {unknown(column.column, frame.columns)}"
                )
            elif target in REQUIRED[self.table]:
                raise InputError(
                    f"{self.name}: a column for {target} is needed: "
                    f"{unknown(target, frame.columns)} (--map {self.table}.{target}=COLUMN)"
                )
        return columns | self._attributes(frame, columns)

    def _attributes(self, frame: pl.DataFrame, columns: Mapping[str, Column]) -> dict[str, Column]:
        declared = self.mapping.attributes
        if declared is None:
            used = {column.column for column in columns.values()}
            rest = () if self.table == "events" else frame.columns
            decimal = self.mapping.decimal
            declared = {n: Column(column=n, decimal=decimal) for n in rest if n not in used}
        for name, column in declared.items():
            if column.column is not None and column.column not in frame.columns:
                raise InputError(
                    f"{self.name}: {self.table}.attributes.{name}: "
                    f"{unknown(column.column, frame.columns)}"
                )
        return {ATTRIBUTE + name: column for name, column in declared.items()}

    def _check_types(self, columns: Mapping[str, Column], types: Mapping[str, pl.DataType]) -> None:
        for target, column in columns.items():
            expected = parsing.expected_instead(target, types[target], column)
            if expected is not None:
                named = f"{self.table}.{target.replace(ATTRIBUTE, 'attributes.')}"
                raise InputError(
                    f"{self.name}: {named}: column {column.column!r} is of type "
                    f"{types[target]}: expected {expected}"
                )

    def _zone_rules(self, columns: Mapping[str, Column], raw: pl.DataFrame) -> list[RowRule]:
        column, name = columns.get("timestamp"), f"{_RAW}timestamp"
        if column is None or column.zone or column.format or raw.schema[name] != pl.String:
            return []
        try:
            bare = self.zones.bare(raw[name], raw[_ROW])
        except InputError as error:
            raise InputError(f"{self.name}: {column.column}: {error}") from None
        return [RowRule("timestamp", pl.lit(bare), BARE)] if bare.any() else []

    def _rules(
        self, columns: Mapping[str, Column], types: Mapping[str, pl.DataType]
    ) -> list[RowRule]:
        rules = [RowRule(t, _is_empty(t), "required") for t in REQUIRED_ROWS[self.table]]
        ids = [target for target in TARGETS[self.table] if target.endswith("_id")]
        rules += [RowRule(t, _bad_id(t), f"expected 1 to {MAX_ID_LENGTH} characters") for t in ids]
        rules += [RowRule(t, _has_control(t), "expected no control characters") for t in ids]
        rules += [_unparsed(t, "expected a text or a whole number") for t in ids]
        if self.table == "events":
            rules += _event_rules(columns, types, self.items, self.clock() + AHEAD_S)
        if self.table == "items":
            rules.append(_unparsed("in_stock", "expected true or false"))
            rules += _amount_rules("price", columns)
        for target, column in columns.items():
            if column.list is not None:
                rules.append(_unparsed(target, "expected a list, say ['Merlot', 'Malbec']"))
            elif column.kind is AttributeKind.NUMBER:
                why = _NUMBER[column.decimal]
                rules += [_unparsed(target, why), _infinite(target, why)]
            elif target.startswith(ATTRIBUTE) and types[target].is_float():
                why = _NUMBER[column.decimal]
                rules += [] if column.kind is AttributeKind.TEXT else [_infinite(target, why)]
        return rules

    def _merge(
        self,
        bad: list[Refusal],
        refused: pl.DataFrame,
        rules: list[RowRule],
        columns: Mapping[str, Column],
    ) -> list[Refusal]:
        for row in refused.iter_rows(named=True):
            rule = rules[row[_BROKEN]]
            column = columns[rule.target].column or rule.target
            value = row[_RAW + rule.target]
            text = "" if value is None else str(value)
            bad.append(Refusal(self.name, row[_ROW], column, text, rule.why))
        return sorted(bad, key=lambda refusal: refusal.row)

    def _finished(self, good: pl.DataFrame) -> pl.DataFrame:
        missing = [t for t in TARGETS[self.table] if t not in good.columns]
        derived = "event_id" in missing and self.table == "events"
        whole = good.with_columns(
            pl.lit(None, pl.Float64 if target in {"price", "value"} else pl.String).alias(target)
            for target in missing
            if target != "in_stock"
        )
        if derived:
            whole = whole.with_columns(event_id=_derived_ids(whole))
        if self.table == "items":
            stock = pl.col("in_stock") if "in_stock" in good.columns else pl.lit(None, pl.Boolean)
            whole = whole.with_columns(in_stock=stock.fill_null(value=True))
        return whole


REQUIRED_ROWS = {**REQUIRED, "events": ("event_id", *REQUIRED["events"])}
"""What every row must hold: ids of events too, where their column is mapped at all."""

Parser = Callable[[str, pl.DataType, Column], pl.Expr]


_PARSERS: dict[str, Parser] = {
    **{
        target: lambda name, _, __: parsing.trimmed(name)
        for targets in TARGETS.values()
        for target in targets
    },
    **{
        target: lambda name, dtype, _: parsing.identifier(name, dtype)
        for targets in TARGETS.values()
        for target in targets
        if target.endswith("_id")
    },
    "timestamp": parsing.moment,
    **dict.fromkeys(AMOUNTS, parsing.amount),
    "in_stock": lambda name, _, __: parsing.truth(name),
}


def _source(column: Column) -> pl.Expr:
    return pl.lit(column.value, pl.String) if column.column is None else pl.col(column.column)


def _first_broken(rules: list[RowRule]) -> pl.Expr:
    return pl.coalesce(
        *(pl.when(rule.broken).then(pl.lit(index)) for index, rule in enumerate(rules))
    )


def _is_empty(target: str) -> pl.Expr:
    """Tell where nothing stands, or nothing but blanks."""
    absent = pl.col(_RAW + target).is_null()
    return absent | (parsing.trimmed(_RAW + target) == "")


def _bad_id(target: str) -> pl.Expr:
    return ~pl.col(target).str.len_chars().is_between(1, MAX_ID_LENGTH)


def _has_control(target: str) -> pl.Expr:
    return pl.col(target).str.contains(CONTROL.pattern)


def _unparsed(target: str, why: str) -> RowRule:
    return RowRule(target, pl.col(target).is_null() & pl.col(_RAW + target).is_not_null(), why)


def _infinite(target: str, why: str) -> RowRule:
    return RowRule(target, ~pl.col(target).is_finite(), why)


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
    since = parsing.seconds(_RAW + "timestamp", dtype, column)
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
            "expected a time between 1970 and 2100",
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


def _derived_ids(events: pl.DataFrame) -> pl.Series:
    """Return ids made of what each event says: the same event has the same id for ever."""
    said = events.select(
        "type", "user_id", "item_id", pl.col("timestamp").dt.epoch("us"), "value"
    ).iter_rows()
    ids = [
        blake2b("\x1f".join(map(repr, row)).encode(), digest_size=16).hexdigest() for row in said
    ]
    return pl.Series(ids, dtype=pl.String)
