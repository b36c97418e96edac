"""The offline store: every event, item and shopper as Delta tables under `CUVEE_HOME/offline`.

One writer at a time holds a file lock, so that two appends of the same events cannot both find
them new; readers never wait.

    append_events(batches) ── ids known already? ── drop ── ONE commit, streamed
"""

import fcntl
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from features.catalogue import Catalogue
from features.errors import InputError
from features.eventlog import EventLog
from features.home import LOAD_TEST
from features.identity.forgotten import Forgotten, ForgottenList
from features.identity.merges import NOBODY, Merges
from features.identity.spared import events_spared, records_spared
from features.lock import locked
from features.offline import assemble
from features.offline.batches import Batches, Fresh, as_frame, stream
from features.offline.deletion import Deletion
from features.offline.delta import DeltaTables
from features.offline.entities import Entities
from features.offline.known_events import KnownEvents
from features.offline.parts import Part, moment
from features.offline.replacement import Replacement
from features.offline.said import EventHashes, Said, joined
from features.offline.spared_rows import SparedRows, merges_of
from features.offline.table_ids import TableIds
from features.offline.tables import (
    ITEMS,
    MERGES,
    SCHEMAS,
    SERVED,
    SHOPPER_MERGES,
    STAGED,
    USERS,
)
from features.offline.translated import translated
from features.scratch import sweep
from features.shelf import put_shelf

RETENTION = timedelta(days=7)
"""How long `tidy` leaves files that only older versions use."""

LISTS_KEPT = timedelta(days=90)
"""How long lists that were served are kept, by the day."""

_OF_URLS = frozenset("%[]")
_VERSION = re.compile(r"(\w+)@(-|\d+)")
_ARRIVED_AS = "arrived_as"
_LOG_COLUMNS = ("event_id", "type", "user_id", "item_id", "arrived_at", "value")


class Written(NamedTuple):
    """How events were taken: new, there before, or of shoppers who were forgotten since."""

    accepted: int
    duplicates: int
    forgotten: int = 0


class Put(NamedTuple):
    """How records of shoppers were taken: how many are new or changed, and how many passed over."""

    changed: int
    forgotten: int = 0


class OfflineStore:
    """The three tables of one home. Raises `StoreError` where they cannot be read or written."""

    def __init__(self, home: Path, versions: Mapping[str, int | None] | None = None) -> None:
        """Use the tables below `home`; nothing is created before the first write.

        Where they were half replaced that is mended first. With `versions` read each table as it
        was then, None for not at all.
        """
        if _OF_URLS.intersection(str(home.absolute())):  # delta-rs takes them for parts of one
            raise InputError(f"CUVEE_HOME: expected a path without %, [, ], got {home.absolute()}")
        self.home = home
        self._root = home / "offline"
        self._tables = DeltaTables(self._root, versions)
        self._spared = SparedRows(self._tables, ForgottenList(home))
        self._replacement = Replacement(self._tables, self._spared)
        self._entities = Entities(self._tables)
        self._ids = TableIds()
        self._merged: tuple[Sequence[Path], Merges] = ((), NOBODY)
        if self._replacement.is_pending():
            self._mend()

    def _mend(self) -> None:
        """End what somebody was stopped in, if nobody is at it now."""
        with translated(), (self._root / ".lock").open("w") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._end_replacement()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with translated(), locked(self._root):
            self._end_replacement()
            yield

    def _end_replacement(self) -> None:
        if self._replacement.is_pending():
            self._replacement.end()
            self._tell_shelf()

    def _tell_shelf(self) -> None:
        told = self._tables.scan("items").select("item_id", "price", "in_stock").collect()
        prices = told["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        put_shelf(self.home, told["item_id"].to_list(), prices, told["in_stock"].to_numpy())

    def append_events(self, batches: Batches, known: KnownEvents | None = None) -> Written:
        """Add the events that are new, in one commit; those whose id is known change nothing.

        Those of shoppers who were forgotten since they arrived are passed over. Without `known`
        every id of the table is kept in mind, for later appends too: 16 bytes each. With what is
        `known` of these events only what the table got since is looked at, and `InputError` is
        raised, and nothing written, where one says something else.
        """
        with self._writing():
            spared = self._spared.events(stream(batches))
            if known is None:
                self._ids.learn(self.paths("events"))
                fresh = Fresh(iter(spared), self._ids.known)
            else:
                known.learn(self.paths("events"))
                fresh = Fresh(iter(spared), known.ids, partial(_check_said, known.said))
            self._tables.append("events", fresh)
            return Written(fresh.accepted, fresh.duplicates, spared.passed_over)

    def append_served(self, batches: Batches, number: int) -> int | None:
        """Add lists that were served, in one commit; return how many were passed over.

        That is those of shoppers who were forgotten since. The commit notes `number`, which must
        be greater than all before: with one that was noted already nothing is done, and None
        returned.
        """
        with self._writing():
            if number <= self._tables.number(SERVED):
                return None
            spared = self._spared.lists(stream(batches))
            self._tables.append(SERVED, iter(spared), number)
            return spared.passed_over

    def served_number(self) -> int:
        """Return the number of the last `append_served`, 0 for none."""
        with translated():
            return self._tables.number(SERVED)

    def served(self, since: date = date.min, until: date = date.max) -> pl.LazyFrame:
        """Return the lists that were served on the days `since` to `until`.

        With the columns of `SERVED_LISTS` without `day`.
        """
        with translated():
            return self._tables.scan(SERVED, since, until)

    def known(self, ids: EventHashes) -> KnownEvents:
        """Return what the tables say of the events whose id has one of these hashes."""
        known = KnownEvents(ids)
        with translated():
            known.learn(self.paths("events"))
        return known

    def replace(self, table: str, batches: Batches) -> int:
        """Make these the only rows of `table`, in one commit, and return how many they are.

        The caller vouches that no id occurs twice: nothing is looked up. Those of shoppers who
        were forgotten since are passed over.
        """
        with self._writing():
            rows = self._replacement.replace(table, batches)
            if table == "items":
                self._tell_shelf()
            return rows

    def replace_all(self, events: Batches, others: Mapping[str, Batches]) -> int:
        """Make these the only rows of all tables, and return how many events they are.

        Those of shoppers who were forgotten since are passed over. The commit of the events
        decides: see `features.offline.replacement`.
        """
        with self._writing():
            rows = self._replacement.replace_all(events, others)
            self._tell_shelf()
            return rows

    def put_items(self, items: pa.Table) -> int:
        """Add or replace items by id and return how many differ from what was there.

        Services are told what they cost and which are in stock.
        """
        with self._writing():
            changed = self._entities.put("items", as_frame(items.select(ITEMS.names)))
            self._tell_shelf()
            return changed

    def put_users(self, users: pa.Table) -> Put:
        """Add or replace shoppers by id, but for those who were forgotten and are not back.

        What is replaced counts for moments before.
        """
        incoming = as_frame(users.select(USERS.names))
        with self._writing():
            spared = records_spared(incoming, self.forgotten(), self.scan("events"))
            changed = self._entities.put("users", spared)
        return Put(changed, len(incoming) - len(spared))

    def merge(self, rows: Sequence[tuple[str, str, int]]) -> None:
        """Keep that shoppers were merged: (source, into, milliseconds) each; twice as once."""
        told = [
            {"source": source, "into": into, "at": at_ms * 1_000} for source, into, at_ms in rows
        ]
        with self._writing():
            incoming = as_frame(pa.Table.from_pylist(told, schema=SHOPPER_MERGES)).unique()
            present = self.scan(MERGES).collect()
            new = incoming.join(present, on=present.columns, how="anti")
            self._tables.append(MERGES, new.to_arrow())

    def forget(self, until_ms: Mapping[str, int], now_ms: int | None = None) -> int:
        """Delete what arrived of shoppers up to a stamp each, and their records; count these rows.

        Lists that are stamped later than `now_ms`, or than now, too: by a clock that was ahead.
        Earlier versions of the tables still hold all of it until `tidy` runs, at least
        `RETENTION` after this. The merges stay: see `forget_merges`. What the killed had staged
        goes; whoever is at it now heeds the list of the forgotten.
        """
        with self._writing():
            sweep(self._root, STAGED)
            deletion = Deletion(self._tables, self.merges(until_ms))
            return deletion.of_shoppers(until_ms, now_ms or int(time.time() * 1_000))

    def forget_merges(self, until_ms: Mapping[str, int]) -> int:
        """Delete the merges by which others' events were the shoppers'; return how many.

        Last of all, since they tell whose events those were.
        """
        with self._writing():
            return Deletion(self._tables, self.merges(until_ms)).of_merges(until_ms)

    def tidy(self, retention: timedelta = RETENTION) -> int:
        """Merge small files, remove those no version of the last `retention` uses; count these.

        What the logs of the tables tell of versions before goes as well. Lists that were served
        `LISTS_KEPT` before the latest are deleted, and copies of killed load tests. Services are
        told what whoever was killed did not tell, nor older versions. A home that is not there is
        not made.
        """
        if not self._root.is_dir():
            return 0
        with self._writing():
            sweep(self.home, LOAD_TEST)
            self._tell_shelf()
            self._tables.delete_days(SERVED, LISTS_KEPT, datetime.now(UTC).date())
            return self._tables.tidy(retention)

    def scan(self, table: str) -> pl.LazyFrame:
        """Return the rows of `events`, `items` or `users` as a lazy frame, for any question."""
        with translated():
            return self._tables.scan(table)

    def paths(self, table: str) -> list[Path]:
        """Return the Parquet files that hold the rows of `table`."""
        with translated():
            return self._tables.paths(table)

    def event_log(self, until_ms: int | None = None, part: Part | None = None) -> EventLog:
        """Return all events that arrived before `until_ms` (all if None), sorted for training.

        Of `part` only, if one is given: those of its shoppers, and what is known of them. Who was
        forgotten is not in it, deleted from the tables already or not.
        """
        merges, users = self.merges(), self.scan("users")
        events = self.scan("events").select(*_LOG_COLUMNS, pl.col("user_id").alias(_ARRIVED_AS))
        events = merges.owned(events, until_ms)
        if until_ms is not None:
            events = events.filter(pl.col("arrived_at") < moment(until_ms))
        if part is not None:
            events, users = part.narrowed(events, users)
        with translated():
            forgotten = self.forgotten()  # first: who is in it may not be deleted yet
            told = events_spared(events.collect(), forgotten, merges, _ARRIVED_AS)
            told = told.drop(_ARRIVED_AS)
            return assemble.event_log(told, records_spared(users.collect(), forgotten, told.lazy()))

    def parts(
        self,
        behind: str | None = None,
        until: str | None = None,
        since_ms: int | None = None,
        whose: pl.DataFrame | None = None,
        size: int | None = None,
    ) -> list[Part]:
        """Return the shoppers in the order of their ids, in parts of some `size` events.

        Where that is None they are of `PART_EVENTS`.

        All of them, or those whose id stands `behind` one, or comes `until` one, of whom an event
        arrived `since_ms`, or that are among `whose`.
        """
        events = self.merges().owned(self.scan("events").select("user_id", "arrived_at"))
        users = self.scan("users").select("user_id")
        with translated():
            return Part(behind, until, 0, since_ms, whose).split(events, users, size)

    def changed_since(self, version: str) -> pl.DataFrame:
        """Return a column user_id: of whom an event or a record may have been added since then.

        Or may have become theirs, or another's, by a merge. Raises `StoreError` where nobody can
        tell any more.
        """
        if self.is_unchanged_since(version):
            return pl.DataFrame(schema={"user_id": pl.String})
        before = self.at(version)
        with translated():
            files = set(self.paths("events")) - set(before.paths("events"))
            added = [pl.scan_parquet(path, glob=False).select("user_id") for path in sorted(files)]
            now, then = self.scan("users"), before.scan("users")
            differing = now.join(then, on=USERS.names, how="anti", nulls_equal=True)
            told = pl.concat((differing.select("user_id"), *added)).unique().collect()
            now_merged, then_merged = self.merges(), before.merges()
        changed = now_merged.became(told["user_id"].to_list())
        changed |= now_merged.changed_by(then_merged)
        return pl.DataFrame({"user_id": sorted(changed)}, {"user_id": pl.String})

    def merges(self, user_ids: Collection[str] | None = None) -> Merges:
        """Return who was merged into whom: all of it, or what says anything of some shoppers."""
        with translated():
            if user_ids is not None:
                return merges_of(self.scan(MERGES).collect(), user_ids)
            paths = self.paths(MERGES)  # others than these once anything is merged, or forgotten
            if paths != self._merged[0]:
                self._merged = paths, merges_of(self.scan(MERGES).collect())
            return self._merged[1]

    def forgotten(self) -> Forgotten:
        """Return who was forgotten."""
        return ForgottenList(self.home).read()

    def catalogue(self) -> Catalogue:
        """Return all items."""
        with translated():
            return assemble.catalogue(self.scan("items").collect())

    def item_ids(self) -> pl.Series:
        """Return the ids of all items."""
        with translated():
            return self.scan("items").select("item_id").collect()["item_id"]

    def count(self, table: str) -> int:
        """Return the number of rows of `table`."""
        with translated():
            return self._tables.count(table)

    def is_empty(self) -> bool:
        """Tell whether there is nothing to train on: no items, or no events."""
        return not (self.count("items") and self.count("events"))

    def require_rows(self) -> None:
        """Raise `InputError` where there is nothing at all."""
        if not any(map(self.count, SCHEMAS)):
            raise InputError(
                f"there are no data in {self.home}: take yours in with python -m features ingest, "
                "or make the demo shop with python -m features simulate"
            )

    def version(self) -> str:
        """Return the versions of the tables as one word, e.g. `events@3,items@1,users@-`.

        Where anybody was merged into somebody that of `merges` stands behind them. They count
        every commit, of `tidy` too, and are what `at` reads: see `is_unchanged_since`.
        """
        return self._told(self._tables.version)

    def last_change(self) -> str:
        """Return the versions that changed rows last, like `version`; `tidy` changes none."""
        return self._told(self._tables.last_change)

    def _told(self, number: Callable[[str], int | None]) -> str:
        with translated():
            numbers = {name: number(name) for name in (*SCHEMAS, MERGES)}
        if numbers[MERGES] is None:
            del numbers[MERGES]
        return ",".join(f"{name}@{'-' if at is None else at}" for name, at in numbers.items())

    def is_unchanged_since(self, version: str) -> bool:
        """Tell whether the rows are those of when `version` told this, whatever was tidied since.

        Not where `version` is none, or later than what is there.
        """
        now = self.version()
        if version == now:
            return True
        try:
            then = _numbers(version)
        except InputError:
            return False
        last, latest = _numbers(self.last_change()), _numbers(now)
        return all(_is_between(last[name], at, latest[name]) for name, at in then.items())

    def identity(self) -> str:
        """Return what tells the tables from those of any other home, whatever their versions."""
        with translated():
            return next(filter(None, map(self._tables.id, SCHEMAS)), "-")

    def at(self, version: str) -> "OfflineStore":
        """Return the store as it was when `version` told this; only to read from.

        Raises `InputError` where `version` is none.
        """
        return OfflineStore(self.home, _numbers(version))

    def files(self) -> list[tuple[str, int, list[tuple[str, int]]]]:
        """Return of each table that is there its name, version, and files with their sizes."""
        with translated():
            return self._tables.files((*SCHEMAS, MERGES))


def _numbers(version: str) -> dict[str, int | None]:
    told = dict(_VERSION.findall(version))
    if told.keys() - {MERGES} != SCHEMAS.keys():
        raise InputError(f"version: expected events@N,items@N,users@N, got {version!r:.80}")
    return {
        name: None if told.get(name, "-") == "-" else int(told[name]) for name in (*SCHEMAS, MERGES)
    }


def _is_between(first: int | None, number: int | None, last: int | None) -> bool:
    """Tell whether one is among these, or none where there are none."""
    if first is None or number is None or last is None:
        return first is number is last is None
    return first <= number <= last


def _check_said(known: Said, told: Said) -> None:
    differing = int(joined([known, told]).differing()[len(known) :].sum())
    if differing:
        raise InputError(
            f"the events table changed meanwhile: of {differing} ids it says something else "
            "now, and events never change; no event was written: ingest the file again to "
            "have its rows named"
        )
