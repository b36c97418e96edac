"""From a batch of a file to rows of a table: every value parsed, every rule checked, at once.

A row breaks the first of its table's rules that it breaks; it is refused with the value as it
stood in the file.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import polars as pl

from features.errors import InputError
from features.ingest import parsing
from features.ingest.columns_used import ATTRIBUTE, ColumnsUsed
from features.ingest.file_columns import file_columns
from features.ingest.mapping import AMOUNTS, TARGETS, Column, TableMapping
from features.ingest.row_rules import RAW, RowRule, first_broken, row_rules
from features.ingest.sources import FileBatch
from features.ingest.zones import BARE, Zones
from features.quality.refusals import Refusal

_ROW = "row"
_BROKEN = "broken"


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
            *(_source(column).alias(RAW + target) for target, column in columns.items()),
        )
        types = {name.removeprefix(RAW): dtype for name, dtype in raw.schema.items()}
        self._check_types(columns, types)
        parsed = raw.with_columns(
            _PARSERS.get(target, parsing.attribute)(RAW + target, types[target], column).alias(
                target
            )
            for target, column in columns.items()
        )
        rules = row_rules(self.table, columns, types, self.items, self.clock())
        rules = [rule for rule in rules if rule.target in columns]
        rules += self._zone_rules(columns, raw)
        checked = parsed.with_columns(first_broken(rules).alias(_BROKEN))
        good = checked.filter(pl.col(_BROKEN).is_null()).select(_ROW, *columns)
        refused = checked.filter(pl.col(_BROKEN).is_not_null()).head(room)
        return Conformed(self._finished(good), self._merge(bad, refused, rules, columns)[:room])

    def used(self, frame: pl.DataFrame) -> ColumnsUsed:
        """Return what becomes of the columns of a file."""
        return ColumnsUsed.of(self.table, self._columns(frame), frame.columns)

    def _columns(self, frame: pl.DataFrame) -> dict[str, Column]:
        return file_columns(self.name, self.table, self.mapping, frame.columns)

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
        column, name = columns.get("timestamp"), f"{RAW}timestamp"
        if column is None or column.zone or column.format or raw.schema[name] != pl.String:
            return []
        try:
            bare = self.zones.bare(raw[name], raw[_ROW])
        except InputError as error:
            raise InputError(f"{self.name}: {column.column}: {error}") from None
        return [RowRule("timestamp", pl.lit(bare), BARE)] if bare.any() else []

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
            value = row[RAW + rule.target]
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


_PARSERS: dict[str, Callable[[str, pl.DataType, Column], pl.Expr]] = {
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


def _derived_ids(events: pl.DataFrame) -> pl.Series:
    """Return ids made of what each event says: the same event has the same id for ever."""
    said = events.select(
        "type", "user_id", "item_id", pl.col("timestamp").dt.epoch("us"), "value"
    ).iter_rows()
    ids = [
        blake2b("\x1f".join(map(repr, row)).encode(), digest_size=16).hexdigest() for row in said
    ]
    return pl.Series(ids, dtype=pl.String)
