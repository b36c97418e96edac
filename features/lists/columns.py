"""Lines of served lists as rows of the table: all of a segment at once, or one by one.

Arrow reads JSON straight into columns, in a fifth of the time that values of Python take; but of
a segment with a line that is none it reads nothing.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json

from features.lists.line import LATEST_MS, parse
from features.offline.tables import SERVED_LISTS

_DAY_MS = 86_400_000
_STAMP = SERVED_LISTS.field("served_at").type
_ITEM = pa.struct([("item_id", pa.string()), ("score", pa.float32()), ("reason", pa.string())])
_LINES = pa.schema(
    [
        ("at_ms", pa.int64()),
        ("as_of_ms", pa.int64()),
        ("items", pa.list_(_ITEM)),
        *(
            (field.name, field.type)
            for field in SERVED_LISTS
            if field.name not in {"served_at", "day", "items", "scores", "reasons", "as_of"}
        ),
    ]
)
_MAY_BE_NULL = {field.name for field in SERVED_LISTS if field.nullable}
_UNUSABLE = (pa.ArrowException, OverflowError, TypeError, ValueError)


def rows_of(content: bytes) -> tuple[pa.RecordBatch, int]:
    """Return the rows of a segment, and how many of its lines are none."""
    batch = read_together(content)
    if batch is not None:
        return batch, 0
    lines = [each for each in content.splitlines() if each.strip()]
    parsed = [parse(line) for line in lines]
    batch = _batch([each for each in parsed if each is not None])
    return batch, len(lines) - batch.num_rows


def read_together(content: bytes) -> pa.RecordBatch | None:
    """Return the rows of lines, None where one of them may be none."""
    try:
        told = json.read_json(
            BytesIO(content),
            json.ReadOptions(use_threads=False, block_size=max(len(content), 1)),
            json.ParseOptions(explicit_schema=_LINES, unexpected_field_behavior="ignore"),
        )
        return _with_columns({name: _whole(told[name]) for name in told.column_names})
    except _UNUSABLE:
        return None


def _with_columns(told: dict[str, Any]) -> pa.RecordBatch | None:
    at_ms, as_of_ms, items = told.pop("at_ms"), told.pop("as_of_ms"), told.pop("items")
    shown = items.flatten()
    needed = [at_ms, items, shown.field("item_id"), shown.field("reason")]
    needed += [column for name, column in told.items() if name not in _MAY_BE_NULL]
    if any(column.null_count for column in needed) or not _is_usable_time(at_ms):
        return None
    if not _are_as_many(items, told["propensities"]):
        return None
    if not _are_whole(told["features"], told["features_schema"], as_of_ms):
        return None
    if not _is_usable_time(as_of_ms.fill_null(0)):
        return None
    lists = {"items": "item_id", "scores": "score", "reasons": "reason"}
    told |= {
        name: pa.ListArray.from_arrays(items.offsets, shown.field(field))
        for name, field in lists.items()
    }
    told["served_at"] = pc.multiply(at_ms, 1_000).cast(_STAMP)
    told["as_of"] = pc.multiply(as_of_ms, 1_000).cast(_STAMP)
    told["day"] = pc.divide(at_ms, _DAY_MS).cast(pa.int32()).cast(pa.date32())
    return pa.RecordBatch.from_pydict(told, SERVED_LISTS)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def _is_usable_time(at_ms: pa.Array) -> bool:
    ends = pc.min_max(at_ms).as_py()
    return ends["min"] is not None and ends["min"] >= 0 and ends["max"] <= LATEST_MS


def _are_as_many(items: pa.Array, propensities: pa.Array) -> bool:
    """Tell whether each list has as many chances as items, where it has any."""
    differ = pc.not_equal(pc.list_value_length(items), pc.list_value_length(propensities))
    return not pc.any(differ).as_py()


def _are_whole(*columns: pa.Array) -> bool:
    """Tell whether each list has a value in all of these columns, or in none."""
    first, *others = (each.is_valid() for each in columns)
    return all(first.equals(each) for each in others)


def _batch(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """Return those rows that have values of the table's types."""
    try:
        return pa.RecordBatch.from_pylist(rows, SERVED_LISTS)
    except _UNUSABLE:
        return pa.RecordBatch.from_pylist([*filter(_is_usable, rows)], SERVED_LISTS)


def _is_usable(row: dict[str, Any]) -> bool:
    try:
        pa.RecordBatch.from_pylist([row], SERVED_LISTS)
    except _UNUSABLE:
        return False
    return True
