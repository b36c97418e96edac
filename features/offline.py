"""The offline store: every event, item and shopper as Delta tables under `CUVEE_HOME/offline`.

Delta gives atomic commits and time travel, and Spark or DuckDB read the tables as they are.
One writer at a time holds a file lock, so that two appends of the same events cannot both find
them new; readers never wait.

    append_events(batches) ── ids known already? ── drop ── ONE commit, streamed
"""

import fcntl
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow import parquet

from features import assemble
from features.batches import Batches, CountedBatches, Fresh, as_frame, conformed, stream
from features.catalogue import Catalogue
from features.errors import InputError, StoreError
from features.eventlog import EventLog
from features.forgotten import Forgotten, ForgottenList
from features.known_events import KnownEvents
from features.known_ids import KnownIds, id_hashes_in
from features.merges import Arrived, Merges, within
from features.predicates import has_arrived, is_merge, of_one
from features.said import Hashes, Said, joined
from features.scratch import scratch_folder, sweep
from features.spared import Spared, events_spared, records_spared
from features.tables import CHANGES, ITEMS, MERGES, SCHEMAS, SHOPPER_MERGES, STORED, USERS

PART_EVENTS = 16_000_000
"""Events of shoppers that are read at a time, about: some 100 bytes of memory each."""

RETENTION = timedelta(days=7)
"""How long `tidy` leaves files that only older versions use."""

STAGED = ".staged-"
"""How the names of folders begin that hold rows on their way into the tables."""

_AT_ONCE = 200
"""Conditions of one deletion."""

_SINCE = {"user_id": pl.String, "until": pl.Int64}
_ARRIVED = {"user_id": pl.String, "since": pl.Int64, "until": pl.Int64}
_LOG_KEPT = "delta.logRetentionDuration"
_BEFORE = "version of events before"
_OF_URLS = frozenset("%[]")
_VERSION = re.compile(r"(\w+)@(-|\d+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


@dataclass(frozen=True, slots=True)
class Part:
    """Shoppers with ids behind `begin` and up to `end`, None for no bound; about how many."""

    begin: str | None
    end: str | None
    shoppers: int
    since_ms: int | None = None
    """Only those of whom an event arrived since."""
    whose: pl.DataFrame | None = None
    """Only those of whom the id stands here, in a column user_id."""

    def of(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return those rows that are about the part's shoppers, whenever their events arrived."""
        if self.begin is not None:
            rows = rows.filter(pl.col("user_id") > self.begin)
        if self.end is not None:
            rows = rows.filter(pl.col("user_id") <= self.end)
        return rows if self.whose is None else rows.join(self.whose.lazy(), "user_id", "semi")


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
        self._replacing = self._root / ".replacing"
        self._versions = versions
        self._ids = KnownIds()
        self._known_files: frozenset[Path] = frozenset()
        if self._replacing.exists():
            self._mend()

    def _mend(self) -> None:
        """End what somebody was stopped in, if nobody is at it now."""
        with _translated(), (self._root / ".lock").open("w") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._replacing.exists():
                self._end_replacing()

    def append_events(self, batches: Batches, known: KnownEvents | None = None) -> Written:
        """Add the events that are new, in one commit; those whose id is known change nothing.

        Those of shoppers who were forgotten since they arrived are passed over. Without `known`
        every id of the table is kept in mind, for later appends too: 16 bytes each. With what is
        `known` of these events only what the table got since is looked at, and `InputError` is
        raised, and nothing written, where one says something else.
        """
        with self._writing():
            spared = Spared(stream(batches), self.forgotten(), cache(self.merges))
            if known is None:
                self._learn_ids()
                fresh = Fresh(iter(spared), self._ids)
            else:
                known.learn(self.paths("events"))
                fresh = Fresh(iter(spared), known.ids, partial(_check_said, known.said))
            self._write("events", CountedBatches(iter(fresh)), "append")
            return Written(fresh.accepted, fresh.duplicates, spared.passed_over)

    def known(self, ids: Hashes) -> KnownEvents:
        """Return what the tables say of the events whose id has one of these hashes."""
        known = KnownEvents(ids)
        with _translated():
            known.learn(self.paths("events"))
        return known

    def replace(self, table: str, batches: Batches) -> int:
        """Make these the only rows of `table`, in one commit, and return how many they are.

        The caller vouches that no id occurs twice: nothing is looked up.
        """
        source = CountedBatches(stream(batches))
        with self._writing():
            self._overwrite(table, source)
        return source.rows

    def replace_all(self, events: Batches, others: Mapping[str, Batches]) -> int:
        """Make these the only rows of all tables, and return how many events they are.

        The commit of the events decides: whoever is stopped before it leaves everything as it
        was, and where that was after it the others, kept beside until then, are written by
        whoever opens the store or writes next.
        """
        with self._writing():
            self._stage(others)
            try:
                source = CountedBatches(stream(events))
                self._overwrite("events", source)
            finally:
                self._end_replacing()
        return source.rows

    def _stage(self, others: Mapping[str, Batches]) -> None:
        with scratch_folder(self._root, STAGED) as scratch:
            for table, batches in others.items():
                with parquet.ParquetWriter(_staged(scratch, table), SCHEMAS[table]) as writer:
                    for batch in stream(batches):
                        writer.write_batch(batch)
            (scratch / _BEFORE).write_text(str(self._events_version()))
            scratch.rename(self._replacing)

    def _end_replacing(self) -> None:
        """Write what stands beside replaced events; forget it where the events are as before."""
        folder = self._replacing
        if self._events_version() != int((folder / _BEFORE).read_text()):
            for table in SCHEMAS:
                if _staged(folder, table).exists():
                    with parquet.ParquetFile(_staged(folder, table)) as file:
                        self._overwrite(table, CountedBatches(file.iter_batches()))
        with scratch_folder(self._root, STAGED) as going:
            folder.rename(going / folder.name)

    def _events_version(self) -> int:
        table = self._delta("events")
        return -1 if table is None else table.version()

    def _overwrite(self, table: str, source: CountedBatches) -> None:
        self._write(table, source, "overwrite")
        if table == "users" and (changes := self._delta(CHANGES)) is not None:
            changes.delete()

    def put_items(self, items: pa.Table) -> int:
        """Add or replace items by id and return how many differ from what was there."""
        with self._writing():
            return self._upsert("items", "item_id", as_frame(items.select(ITEMS.names)))

    def put_users(self, users: pa.Table) -> Put:
        """Add or replace shoppers by id, but for those who were forgotten and are not back.

        What is replaced counts for moments before.
        """
        incoming = as_frame(users.select(USERS.names))
        with self._writing():
            spared = records_spared(incoming, self.forgotten(), self.scan("events"))
            changed = self._upsert("users", "user_id", spared)
        return Put(changed, len(incoming) - len(spared))

    def scan(self, table: str) -> pl.LazyFrame:
        """Return the rows of `events`, `items` or `users` as a lazy frame, for any question."""
        with _translated():
            paths = self.paths(table)
            if not paths:
                return as_frame(STORED[table].empty_table()).lazy()
            return pl.scan_parquet(paths, glob=False)

    def paths(self, table: str) -> list[Path]:
        """Return the Parquet files that hold the rows of `table`."""
        with _translated():
            delta = self._delta(table)
            return [] if delta is None else self._paths(table, delta)

    def event_log(self, until_ms: int | None = None, part: "Part | None" = None) -> EventLog:
        """Return all events that arrived before `until_ms` (all if None), sorted for training.

        Of `part` only, if one is given: those of its shoppers, and what is known of them. Who was
        forgotten is not in it, deleted from the tables already or not.
        """
        merges, users = self.merges(), self.scan("users")
        events = self.scan("events").select(*_LOG_COLUMNS, pl.col("user_id").alias(_ARRIVED_AS))
        events = merges.owned(events, until_ms)
        if until_ms is not None:
            events = events.filter(pl.col("arrived_at") < _moment(until_ms))
        if part is not None:
            events, users = part.of(events), part.of(users)
            if part.since_ms is not None:
                late = events.filter(pl.col("arrived_at") >= _moment(part.since_ms))
                whose = late.select("user_id").unique()
                events, users = (each.join(whose, "user_id", "semi") for each in (events, users))
        with _translated():
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
        events: int | None = None,
    ) -> "list[Part]":
        """Return the shoppers in the order of their ids, in parts of so many `events`.

        Where that is None they are of `PART_EVENTS`.

        All of them, or those whose id stands `behind` one, or comes `until` one, of whom an event
        arrived `since_ms`, or that are among `whose`.
        """
        whole = Part(behind, until, 0, since_ms, whose)
        told_of = self.merges().owned(self.scan("events").select("user_id", "arrived_at"))
        told_of, users = whole.of(told_of), whole.of(self.scan("users").select("user_id"))
        late = pl.lit(value=True)
        if since_ms is not None:
            late = (pl.col("arrived_at") >= _moment(since_ms)).any()
        with _translated():
            sizes = told_of.group_by("user_id").agg(pl.len(), late.alias("late"))
            told = sizes.filter("late").sort("user_id").collect()
            alone = since_ms is None and not len(told) and len(users.head(1).collect())
        if not len(told):
            return [whole] if alone else []
        number = (told["len"].cum_sum() - told["len"]) // (events or PART_EVENTS)
        ends = told.group_by(number.alias("part"), maintain_order=True).agg(
            pl.col("user_id").last(), pl.len()
        )
        last_ids, counts = ends["user_id"].to_list(), ends["len"].to_list()
        bounds = [behind, *last_ids[:-1], until]
        return [
            replace(whole, begin=begin, end=end, shoppers=count)
            for (begin, end), count in zip(pairwise(bounds), counts, strict=True)
        ]

    def changed_since(self, version: str) -> pl.DataFrame:
        """Return a column user_id: of whom an event or a record may have been added since then.

        Or may have become theirs, or another's, by a merge. Raises `StoreError` where nobody can
        tell any more.
        """
        before = self.at(version)
        with _translated():
            files = set(self.paths("events")) - set(before.paths("events"))
            added = [pl.scan_parquet(path, glob=False).select("user_id") for path in sorted(files)]
            now, then = self.scan("users"), before.scan("users")
            differing = now.join(then, on=USERS.names, how="anti", nulls_equal=True)
            told = pl.concat((differing.select("user_id"), *added)).unique().collect()
            now_merged, then_merged = self.merges(), before.merges()
        changed = now_merged.became(told["user_id"].to_list())
        changed |= now_merged.changed_by(then_merged)
        return pl.DataFrame({"user_id": sorted(changed)}, {"user_id": pl.String})

    def merges(self) -> Merges:
        """Return who was merged into whom."""
        with _translated():
            rows = self.scan(MERGES).with_columns(pl.col("at").dt.epoch("ms")).collect().rows()
        return Merges(rows)

    def merge(self, rows: Sequence[tuple[str, str, int]]) -> None:
        """Keep that shoppers were merged: (source, into, milliseconds) each; twice as once."""
        told = [
            {"source": source, "into": into, "at": at_ms * 1_000} for source, into, at_ms in rows
        ]
        with self._writing():
            incoming = as_frame(pa.Table.from_pylist(told, schema=SHOPPER_MERGES)).unique()
            present = self.scan(MERGES).collect()
            new = incoming.join(present, on=present.columns, how="anti")
            self._write(MERGES, CountedBatches(stream(new.to_arrow())), "append")

    def catalogue(self) -> Catalogue:
        """Return all items."""
        with _translated():
            return assemble.catalogue(self.scan("items").collect())

    def item_ids(self) -> pl.Series:
        """Return the ids of all items."""
        with _translated():
            return self.scan("items").select("item_id").collect()["item_id"]

    def count(self, table: str) -> int:
        """Return the number of rows of `table`."""
        with _translated():
            delta = self._delta(table)
            return 0 if delta is None else int(delta.count())

    def is_empty(self) -> bool:
        """Tell whether there is nothing to train on: no items, or no events."""
        return not (self.count("items") and self.count("events"))

    def version(self) -> str:
        """Return the versions of the tables as one word, e.g. `events@3,items@1,users@-`.

        Where anybody was merged into somebody that of `merges` stands behind them.
        """
        with _translated():
            tables = {name: self._delta(name) for name in SCHEMAS}
            if (merges := self._delta(MERGES)) is not None:
                tables[MERGES] = merges
            return ",".join(
                f"{name}@{'-' if table is None else table.version()}"
                for name, table in tables.items()
            )

    def identity(self) -> str:
        """Return what tells the tables from those of any other home, whatever their versions."""
        with _translated():
            tables = (self._delta(name) for name in SCHEMAS)
            return next((str(each.metadata().id) for each in tables if each is not None), "-")

    def at(self, version: str) -> "OfflineStore":
        """Return the store as it was when `version` told this; only to read from.

        Raises `InputError` where `version` is none.
        """
        told = dict(_VERSION.findall(version))
        if told.keys() - {MERGES} != SCHEMAS.keys():
            raise InputError(f"version: expected events@N,items@N,users@N, got {version!r:.80}")
        numbers = {
            name: None if told.get(name, "-") == "-" else int(told[name])
            for name in (*SCHEMAS, MERGES)
        }
        return OfflineStore(self.home, numbers)

    def files(self) -> "list[tuple[str, int, list[tuple[str, int]]]]":
        """Return of each table that is there its name, version, and files with their sizes."""
        with _translated():
            tables = {name: self._delta(name) for name in (*SCHEMAS, MERGES)}
            return [
                (name, table.version(), _files_of(table))
                for name, table in tables.items()
                if table is not None
            ]

    def forgotten(self) -> Forgotten:
        """Return who was forgotten."""
        return ForgottenList(self.home).read()

    def forget(self, until_ms: Mapping[str, int]) -> int:
        """Delete what arrived of shoppers up to a stamp each, and their records; count these rows.

        Earlier versions of the tables still hold all of it until `tidy` runs, at least
        `RETENTION` after this. The logs of the tables tell whom it was about by hash. Events of
        others who were merged into the shopper go, too, and records of those who did nothing after
        it; what was merged into another is the other's. The merges stay: see `forget_merges`. What
        the killed had staged goes; whoever is at it now heeds the list of the forgotten.
        """
        with self._writing():
            sweep(self._root, STAGED)
            merges = self.merges()
            deleted = self._forget_events(merges.arrived(until_ms))
            whose = {*until_ms, *self._without_later(merges.sources(until_ms))}
            which = [of_one("user_id", whose)] if whose else []
            return deleted + self._delete("users", which) + self._delete(CHANGES, which)

    def forget_merges(self, until_ms: Mapping[str, int]) -> int:
        """Delete the merges by which others' events were the shoppers'; return how many.

        Last of all, since they tell whose events those were.
        """
        with self._writing():
            rows = sorted(self.merges().rows(until_ms))
            return self._delete(MERGES, [is_merge(*row) for row in rows])

    def _forget_events(self, arrived: Sequence[Arrived]) -> int:
        """Delete what arrived, in one commit or few: by time only of whom something else stays."""
        spans = pl.DataFrame(arrived, _ARRIVED, orient="row")
        scan = self.scan("events").select("user_id", "arrived_at")
        theirs = collected(scan.join(spans.lazy(), "user_id", "semi")).with_row_index("_row")
        going = within(theirs.lazy(), spans).select("_row", "user_id").unique().collect()
        kept = set(theirs.join(going, on="_row", how="anti")["user_id"])
        gone = set(going["user_id"])
        which = [of_one("user_id", gone - kept)] if gone - kept else []
        which += [has_arrived(*each) for each in arrived if each.user_id in gone & kept]
        return self._delete("events", which)

    def _delete(self, name: str, which: Sequence[str]) -> int:
        """Delete the rows that meet one of some conditions, many of these at a time.

        A table that changed gets a checkpoint, so that `_shorten_log` can drop what was before.
        """
        table = self._delta(name)
        if table is None:
            return 0
        deleted = 0
        for begin in range(0, len(which), _AT_ONCE):
            told = " OR ".join(f"({each})" for each in which[begin : begin + _AT_ONCE])
            deleted += int(table.delete(told)["num_deleted_rows"] or 0)
        if deleted:
            table.create_checkpoint()
        return deleted

    def _without_later(self, sources: Mapping[str, Sequence[int]]) -> list[str]:
        """Return the shoppers of whom no event arrived after the last of some moments each."""
        if not sources:
            return []
        last = [(user_id, moments[-1]) for user_id, moments in sources.items()]
        asked = pl.LazyFrame(last, _SINCE, orient="row")
        later = self.scan("events").select("user_id", "arrived_at").join(asked, "user_id")
        later = later.filter(pl.col("arrived_at").dt.epoch("ms") > pl.col("until"))
        return sorted(sources.keys() - set(collected(later.select("user_id").unique())["user_id"]))

    def tidy(self, retention: timedelta = RETENTION) -> int:
        """Merge small files, remove those no version of the last `retention` uses; count these.

        What the logs of the tables tell of versions before goes as well.
        """
        removed = 0
        with self._writing():
            for name in STORED:
                table = self._delta(name)
                if table is None:
                    continue
                table.optimize.compact()
                hours = int(retention.total_seconds() // 3_600)
                removed += len(
                    table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)
                )
                _shorten_log(table, hours)
        return removed

    def _delta(self, table: str) -> DeltaTable | None:
        path = self._root / table
        if not (path / "_delta_log").is_dir():
            return None
        if self._versions is None or table not in self._versions:
            return _latest(path)
        version = self._versions[table]
        return None if version is None else _earlier(path, version)

    def _paths(self, table: str, delta: DeltaTable) -> list[Path]:
        """Return the files of a table; delta-rs tells them as urls, polars wants paths."""
        return [self._root / table / name for name, _ in _files_of(delta)]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _translated():
            self._root.mkdir(parents=True, exist_ok=True)
            with (self._root / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self._replacing.exists():
                    self._end_replacing()
                yield

    def _learn_ids(self) -> None:
        table = self._delta("events")
        files = frozenset(() if table is None else self._paths("events", table))
        if not self._known_files <= files:  # rows were deleted, or files merged: begin anew
            self._ids, self._known_files = KnownIds(), frozenset()
        for file in sorted(files - self._known_files):
            self._ids.add(id_hashes_in(file))
        self._known_files = files

    def _write(
        self, table: str, source: CountedBatches, mode: Literal["append", "overwrite"]
    ) -> None:
        if mode == "append" and source.is_exhausted():
            return
        reader = pa.RecordBatchReader.from_batches(STORED[table], conformed(STORED[table], source))
        try:
            write_deltalake(self._root / table, reader, mode=mode)
        except DeltaError:
            if source.error is not None:  # delta-rs words it as its own
                raise source.error from None
            raise

    def _keep(self, replaced: pl.DataFrame) -> None:
        """Note what records of shoppers were until now."""
        until = pl.lit(datetime.now(UTC)).dt.cast_time_unit("us").alias("until")
        rows = replaced.with_columns(until).to_arrow()
        self._write(CHANGES, CountedBatches(stream(rows)), "append")

    def _upsert(self, table: str, key: str, rows: pl.DataFrame) -> int:
        incoming = rows.unique(key, keep="last")
        present = self.scan(table).collect()
        changed = incoming.join(present, on=present.columns, how="anti", nulls_equal=True)
        if not len(changed):
            return 0
        if table == "users":
            self._keep(present.join(changed, on=key, how="semi"))
        kept = present.join(changed, on=key, how="anti")
        merged = pl.concat((kept, changed), how="vertical_relaxed").sort(key)
        self._write(table, CountedBatches(stream(merged.to_arrow())), "overwrite")
        return len(changed)


def collected(rows: pl.LazyFrame) -> pl.DataFrame:
    """Return rows of a scan; raise `StoreError` where files of it are gone."""
    with _translated():
        return rows.collect(engine="streaming")


def _check_said(known: Said, told: Said) -> None:
    differing = int(joined([known, told]).differing()[len(known) :].sum())
    if differing:
        raise InputError(
            f"the events table changed meanwhile: of {differing} ids it says something else "
            "now, and events never change; no event was written: ingest the file again to "
            "have its rows named"
        )


def _staged(folder: Path, table: str) -> Path:
    return folder / f"{table}.parquet"


def _files_of(table: DeltaTable) -> list[tuple[str, int]]:
    added = pl.DataFrame(table.get_add_actions(flatten=True))
    return [(str(path), int(size)) for path, size in added.select("path", "size_bytes").rows()]


def _shorten_log(table: DeltaTable, hours: int) -> None:
    """Remove what the log tells of versions before the last checkpoint that is so old.

    It holds the least and the greatest id of every file there was.
    """
    kept = f"interval {hours} hours"
    if table.metadata().configuration.get(_LOG_KEPT) != kept:
        table.alter.set_table_properties({_LOG_KEPT: kept})
    table.create_checkpoint()
    table.cleanup_metadata()


def _latest(path: Path) -> DeltaTable | None:
    """Return a table, None where its first commit is under way, or its writer was killed in it."""
    try:
        return DeltaTable(path)
    except TableNotFoundError:
        return None


def _earlier(path: Path, version: int) -> DeltaTable:
    try:
        return DeltaTable(path, version=version)
    except TableNotFoundError:
        told = f"version {version} of {path.name} is not there any more: `tidy` removed it"
        raise StoreError(f"offline store: {told}") from None


def _moment(stamp_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=stamp_ms)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise StoreError(f"offline store: {reason:.300}") from error
