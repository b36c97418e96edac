"""Items and shoppers in the tables, a row each: added, or replaced where it differs."""

from datetime import UTC, datetime

import polars as pl

from features.offline.delta import DeltaTables
from features.offline.tables import CHANGES
from features.offline.translated import collected


class Entities:
    """Puts rows of `items` and `users`, for whoever holds the lock of the tables."""

    def __init__(self, tables: DeltaTables) -> None:
        """Look at nothing yet."""
        self._tables = tables

    def put(self, table: str, rows: pl.DataFrame) -> int:
        """Add or replace rows by the first column, the last of each id; return how many differ."""
        key = rows.columns[0]
        incoming = rows.unique(key, keep="last")
        present = self._tables.scan(table).collect()
        changed = incoming.join(present, on=present.columns, how="anti", nulls_equal=True)
        if not len(changed):
            return 0
        if table == "users":
            self._keep(present.join(changed, on=key, how="semi"))
        kept = present.join(changed, on=key, how="anti")
        merged = pl.concat((kept, changed), how="vertical_relaxed").sort(key)
        self._tables.overwrite(table, merged.to_arrow())
        return len(changed)

    def _keep(self, replaced: pl.DataFrame) -> None:
        """Note what records of shoppers were until now.

        One that was noted last and is still there was noted by who died before replacing it.
        """
        key = replaced.columns[0]
        noted = self._tables.scan(CHANGES).join(replaced.lazy().select(key), on=key, how="semi")
        last = noted.sort("until").unique(key, keep="last", maintain_order=True).drop("until")
        fresh = replaced.join(collected(last), on=replaced.columns, how="anti", nulls_equal=True)
        if len(fresh):
            until = pl.lit(datetime.now(UTC)).dt.cast_time_unit("us").alias("until")
            self._tables.append(CHANGES, fresh.with_columns(until).to_arrow())
