"""Polars expressions that turn a column as it stands in a file into a column of the schema.

What cannot be parsed becomes null; `features.ingest.conform` compares with the raw column to
refuse it.
"""

import ast
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from features.ids import BLANKS
from features.ingest.mapping import AMOUNTS, TARGETS, AttributeKind, Column, Decimal, Listing, Unit

_PER_SECOND = {Unit.S: 1, Unit.MS: 1_000, Unit.US: 1_000_000}
_NAIVE_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_NUMBER = {
    Decimal.POINT: r"^[+-]?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$",
    Decimal.COMMA: r"^[+-]?(0|[1-9]\d*)(,\d+)?([eE][+-]?\d+)?$",
}
_NO_NUMBER = r"(?i)^[+-]?(nan|inf|infinity)$"
"""What stands for NaN and the infinities, where the other values are numbers."""

_EXACT = 2**53
"""Up to here every whole number is a float64."""

_SCALED_DIGITS = 6
"""So many digits are left of what is scaled: 3 times 0.1 is 0.3."""

_OWN_TARGETS = frozenset(target for targets in TARGETS.values() for target in targets)
_TRUTH = {
    "true": True,
    "t": True,
    "yes": True,
    "y": True,
    "1": True,
    "false": False,
    "f": False,
    "no": False,
    "n": False,
    "0": False,
}


def text(name: str) -> pl.Expr:
    """Return column `name` as text."""
    return pl.col(name).cast(pl.String)


def trimmed(name: str) -> pl.Expr:
    """Return column `name` as text without the blanks at its ends."""
    return text(name).str.strip_chars(BLANKS)


def identifier(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return column `name` as text; of floats only those that are whole numbers, written so."""
    if not dtype.is_float():
        return trimmed(name)
    whole = (pl.col(name) == pl.col(name).round()) & (pl.col(name).abs() <= _EXACT)
    return pl.when(whole).then(pl.col(name).cast(pl.Int64, strict=False)).cast(pl.String)


def expected_instead(target: str, dtype: pl.DataType, column: Column) -> str | None:
    """Return what a column of this type should be to become `target`, None if it can."""
    if target == "timestamp":
        return None if _is_moment(dtype) else "a date with time, a text, or a number since 1970"
    if target in AMOUNTS:
        return "a number" if _is_opaque(dtype) or dtype.is_temporal() else None
    if not _is_opaque(dtype) or (column.list is not None and _is_flat_list(dtype)):
        return None
    instead = "" if target in _OWN_TARGETS else "; list under attributes only those to keep"
    if instead and _is_flat_list(dtype):
        instead += ", and declare `list: first` or `list: joined` for this one to be kept"
    return f"a text or a number{instead}"


def _is_flat_list(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List) and not _is_opaque(dtype.inner)


def _is_moment(dtype: pl.DataType) -> bool:
    return not (_is_opaque(dtype) or dtype == pl.Time)


def _is_opaque(dtype: Any) -> bool:  # noqa: ANN401 (of a list polars tells a type or its class)
    """Tell whether values of a type are no texts, numbers, truths or moments."""
    return bool(dtype.is_nested() or dtype in (pl.Binary, pl.Duration, pl.Object))


def number(name: str, dtype: pl.DataType, column: Column) -> pl.Expr:
    """Return column `name` as float64; true and false are no numbers."""
    if dtype == pl.Boolean:
        return pl.lit(None, pl.Float64)
    if dtype != pl.String:
        return pl.col(name).cast(pl.Float64, strict=False)
    told = trimmed(name)
    if column.decimal is Decimal.COMMA:
        told = pl.when(~_has(told, ".")).then(told.str.replace(",", ".", literal=True))
    return told.cast(pl.Float64, strict=False)


def amount(name: str, dtype: pl.DataType, column: Column) -> pl.Expr:
    """Return column `name` as float64, scaled as declared."""
    told = number(name, dtype, column)
    return told if column.scale == 1 else (told * column.scale).round(_SCALED_DIGITS)


def _has(told: pl.Expr, sign: str) -> pl.Expr:
    return told.str.contains(sign, literal=True)


def truth(name: str) -> pl.Expr:
    """Return column `name` as a boolean: true/false, yes/no, 1/0."""
    lowered = trimmed(name).str.to_lowercase()
    return lowered.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)


def seconds(name: str, dtype: pl.DataType, column: Column) -> pl.Expr:
    """Return column `name` as seconds since 1970, if that is what it holds, else null."""
    if column.format is not None or dtype.is_temporal():
        return pl.lit(None, pl.Float64)
    return number(name, dtype, column) / _PER_SECOND[column.unit]


def is_date(since: pl.Expr) -> pl.Expr:
    """Tell where seconds since 1970 read as the year, month and day of a date: 20261005."""
    month, day = since // 100 % 100, since % 100
    return (
        since.is_between(19_700_101, 21_001_231) & month.is_between(1, 12) & day.is_between(1, 31)
    )


def moment(name: str, dtype: pl.DataType, column: Column) -> pl.Expr:
    """Return column `name` as a time in UTC, microseconds.

    Texts are numbers since 1970, ISO 8601, or what `column.format` says; without a zone of
    their own they are in `column.zone`, else in UTC, where a doubtful hour is the earlier one.
    """
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return _in_utc(pl.col(name))
    if dtype.is_temporal():
        return _placed(pl.col(name).cast(pl.Datetime("us")), column.zone)
    since = seconds(name, dtype, column)
    ticks = pl.when(since.is_between(-1e11, 1e11)).then((since * 1e6).round())
    counted = ticks.cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if dtype != pl.String:
        return counted
    if column.format is not None:
        return _formatted(name, column.format, column.zone)
    return pl.coalesce(counted, *_iso(name, column.zone))


def _formatted(name: str, layout: str, zone: str | None) -> pl.Expr:
    parsed = trimmed(name).str.to_datetime(layout, time_unit="us", strict=False)
    return _in_utc(parsed) if "%z" in layout or "%:z" in layout else _placed(parsed, zone)


def _iso(name: str, zone: str | None) -> list[pl.Expr]:
    spaced = trimmed(name).str.replace("T", " ", literal=True).str.replace("Z$", "+00:00")
    zoned = spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", time_unit="us", strict=False)
    naive = [
        spaced.str.to_datetime(layout, time_unit="us", strict=False) for layout in _NAIVE_FORMATS
    ]
    return [_in_utc(zoned), *(_placed(each, zone) for each in naive)]


def _placed(naive: pl.Expr, zone: str | None) -> pl.Expr:
    there = naive.dt.replace_time_zone(
        ZoneInfo(zone or "UTC").key, ambiguous="earliest", non_existent="null"
    )
    return _in_utc(there)


def _in_utc(zoned: pl.Expr) -> pl.Expr:
    return zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us")


def attribute(name: str, dtype: pl.DataType, column: Column) -> pl.Expr:
    """Return the attribute in column `name`: a list literal as one text, a number, or as it is."""
    if column.list is not None:
        listing = column.list
        if isinstance(dtype, pl.List):
            return _of_lists(name, listing)
        return text(name).map_batches(
            lambda series: pl.Series(
                [_from_list(each, listing) for each in series], dtype=pl.String
            ),
            return_dtype=pl.String,
        )
    if column.kind is AttributeKind.NUMBER:
        return number(name, dtype, column)
    return text(name) if column.kind is AttributeKind.TEXT else pl.col(name)


def _of_lists(name: str, listing: Listing) -> pl.Expr:
    values = pl.col(name).cast(pl.List(pl.String)).list
    one = values.join(", ") if listing is Listing.JOINED else values.first()
    return one.fill_null("")


def _from_list(raw: str | None, listing: Listing) -> str | None:
    """Return `['a', 'b']` as "a" or as "a, b"; "" for an empty list, None for no list at all."""
    try:
        values = ast.literal_eval(raw or "[]")
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(values, list | tuple):
        return None
    texts = [str(value) for value in values]
    return ", ".join(texts) if listing is Listing.JOINED else (texts or [""])[0]


def not_finite(values: pl.Series, column: Column) -> pl.Series:
    """Tell which of an attribute's texts are NaN or infinite, among others that are all numbers."""
    none = pl.repeat(value=False, n=len(values), eager=True)
    if values.dtype != pl.String or column.kind is AttributeKind.TEXT:
        return none
    texts = values.str.strip_chars(BLANKS)
    odd = texts.str.contains(_NO_NUMBER).fill_null(value=False)
    others = texts.filter(~odd).drop_nulls()
    if others.is_empty() or not others.str.contains(_NUMBER[column.decimal]).all():
        return none
    return odd


def no_number(values: pl.Series, column: Column) -> pl.Series:
    """Tell which of an attribute's values `recognised` would take for no numbers."""
    return ~values.cast(pl.String).str.contains(_NUMBER[column.decimal]).fill_null(value=True)


def recognised(values: pl.Series, column: Column) -> pl.Series:
    """Return an attribute's values as numbers where every one of them is one, else as text.

    Texts with a leading zero ("01234") are no numbers; true and false are 1 and 0.
    """
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        return values.cast(pl.Float64)
    texts = values.cast(pl.String)
    if column.kind is AttributeKind.TEXT or not texts.count():
        return texts
    if texts.str.contains(_NUMBER[column.decimal]).all():
        return texts.str.replace(",", ".", literal=True).cast(pl.Float64)
    lowered = texts.str.to_lowercase()
    if lowered.drop_nulls().is_in(["true", "false"]).all():
        return (lowered == "true").cast(pl.Float64)
    return texts
