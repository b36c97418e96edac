"""What attributes have been so far, texts or numbers: a file that has one otherwise is refused."""

import json
from collections.abc import Iterable

import polars as pl

from features.ingest.mapping import AttributeKind
from features.offline.translated import collected


def kinds_so_far(rows: pl.LazyFrame, names: Iterable[str]) -> dict[str, AttributeKind]:
    """Return the kind of those attributes that rows of a table have, by the first that has it."""
    told = {}
    for name in names:
        key = pl.escape_regex(json.dumps(name, ensure_ascii=False))
        begins = pl.col("attributes").str.extract(rf'{key}:\s*("|[-\d])').alias("begins")
        first = collected(rows.select(begins).drop_nulls().head(1))
        if len(first):
            is_text = first.item() == '"'
            told[name] = AttributeKind.TEXT if is_text else AttributeKind.NUMBER
    return told
