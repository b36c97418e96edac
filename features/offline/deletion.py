"""Deleting what the tables hold of shoppers. The logs of the tables tell by hash of whom it was."""

from collections.abc import Mapping, Sequence

import polars as pl

from features.identity.merges import Arrived, Merges, within
from features.offline.delta import DeltaTables
from features.offline.predicates import is_merge, is_within, of_one
from features.offline.tables import CHANGES, MERGES, SERVED
from features.offline.translated import collected

_SINCE = {"user_id": pl.String, "until": pl.Int64}
_STAMPS = {"events": "arrived_at", SERVED: "served_at"}
_LATEST_MS = 253_402_300_799_000
"""In the last second of the year 9999: dates end there."""

_ARRIVED = {"user_id": pl.String, "since": pl.Int64, "until": pl.Int64}


class Deletion:
    """Deletes rows of shoppers, for whoever holds the lock of the tables."""

    def __init__(self, tables: DeltaTables, merges: Merges) -> None:
        """Delete nothing yet; `merges` tell who else was one of these shoppers."""
        self._tables = tables
        self._merges = merges

    def of_shoppers(self, until_ms: Mapping[str, int], now_ms: int) -> int:
        """Delete what arrived of shoppers up to a stamp each, and their records; count these rows.

        Lists that they were served, too, and those that say they will be, after `now_ms`. What
        others who were merged into the shopper did goes as well, and records of those who did
        nothing after it; what was merged into another is the other's. The merges stay.
        """
        arrived = self._merges.arrived(until_ms)
        ahead = [Arrived(user_id, now_ms, _LATEST_MS) for user_id, *_ in arrived]
        deleted = self._of_stamps("events", arrived) + self._of_stamps(SERVED, arrived + ahead)
        whose = {*until_ms, *self._without_later(self._merges.sources(until_ms))}
        which = [of_one("user_id", whose)] if whose else []
        records = (self._tables.delete(table, which) for table in ("users", CHANGES))
        return deleted + sum(records)

    def of_merges(self, until_ms: Mapping[str, int]) -> int:
        """Delete the merges by which others' events were the shoppers'; return how many."""
        rows = sorted(self._merges.rows(until_ms))
        return self._tables.delete(MERGES, [is_merge(*row) for row in rows])

    def _of_stamps(self, table: str, arrived: Sequence[Arrived]) -> int:
        """Delete what arrived, in one commit or few: by time only of whom something else stays."""
        stamp = _STAMPS[table]
        spans = pl.DataFrame(arrived, _ARRIVED, orient="row")
        scan = self._tables.scan(table).select("user_id", arrived_at=stamp)
        theirs = collected(scan.join(spans.lazy(), "user_id", "semi")).with_row_index("_row")
        going = within(theirs.lazy(), spans).select("_row", "user_id").unique().collect()
        kept = set(theirs.join(going, on="_row", how="anti")["user_id"])
        gone = set(going["user_id"])
        which = [of_one("user_id", gone - kept)] if gone - kept else []
        which += [is_within(*each, stamp) for each in arrived if each.user_id in gone & kept]
        return self._tables.delete(table, which)

    def _without_later(self, sources: Mapping[str, Sequence[int]]) -> list[str]:
        """Return the shoppers of whom no event arrived after the last of some moments each."""
        if not sources:
            return []
        last = [(user_id, moments[-1]) for user_id, moments in sources.items()]
        asked = pl.LazyFrame(last, _SINCE, orient="row")
        events = self._tables.scan("events").select("user_id", "arrived_at")
        later = events.join(asked, "user_id")
        later = later.filter(pl.col("arrived_at").dt.epoch("ms") > pl.col("until"))
        return sorted(sources.keys() - set(collected(later.select("user_id").unique())["user_id"]))
