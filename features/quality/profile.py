"""What a table's rows are like on the whole: the figures that later rows are compared with."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Self

import polars as pl

MOST_SHARES = 100
"""Different values of a column whose shares are kept: the most frequent ones."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column: the share of nulls; of numbers mean and standard deviation; of texts shares."""

    nulls: float
    mean: float | None = None
    std: float | None = None
    shares: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableProfile:
    """How many rows there are, and what some of their columns are like."""

    rows: int
    columns: dict[str, ColumnProfile] = field(default_factory=dict)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """Return what `dataclasses.asdict` made."""
        columns = {name: ColumnProfile(**each) for name, each in told["columns"].items()}
        return cls(int(told["rows"]), columns)


def profile_of(rows: pl.LazyFrame, columns: Collection[str]) -> TableProfile:
    """Return the profile of `rows`, in one pass, and one more for each column of texts."""
    types = rows.select(columns).collect_schema()
    asked = [pl.len().alias("rows")]
    for name, dtype in types.items():
        asked.append(pl.col(name).null_count().alias(f"{name} nulls"))
        if dtype.is_numeric():
            asked.append(pl.col(name).cast(pl.Float64).mean().alias(f"{name} mean"))
            asked.append(pl.col(name).cast(pl.Float64).std().alias(f"{name} std"))
    (told,) = rows.select(asked).collect(engine="streaming").rows(named=True)
    count = told["rows"]
    return TableProfile(
        count,
        {
            name: ColumnProfile(
                told[f"{name} nulls"] / max(count, 1),
                told.get(f"{name} mean"),
                told.get(f"{name} std"),
                {} if dtype.is_numeric() else shares_of(rows, name),
            )
            for name, dtype in types.items()
        },
    )


def shares_of(rows: pl.LazyFrame, column: str) -> dict[str, float]:
    """Return the share of each of a column's most frequent values among those that are told."""
    counted = (
        rows.select(pl.col(column).cast(pl.String).drop_nulls())
        .group_by(column)
        .len()
        .with_columns(share=pl.col("len") / pl.col("len").sum())
        .sort("len", column, descending=[True, False])
        .head(MOST_SHARES)
        .collect(engine="streaming")
    )
    return dict(counted.select(column, "share").iter_rows())
