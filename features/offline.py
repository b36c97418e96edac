"""The offline store: every event, item and shopper as Delta tables under `CUVEE_HOME/offline`.

Delta gives atomic commits and time travel, and Spark or DuckDB read the tables as they are.
One writer at a time holds a file lock, so that two appends of the same events cannot both find
them new; readers never wait.

    append_events(batches) ── ids known already? ── drop ── ONE commit, streamed
"""

import fcntl
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from features import assemble
from features.batches import Batches, Fresh, Source, as_frame, conformed, stream
from features.catalogue import Catalogue
from features.errors import InputError, StoreError
from features.eventlog import EventLog
from features.events import LATEST_S
from features.known_ids import KnownIds, id_hashes
from features.merges import Merges, Span
from features.online import Appended
from features.said import Hashes, Said, joined, said_of
from features.tables import CHANGES, MERGES, SCHEMAS, SHOPPER_MERGES, STORED

PART_EVENTS = 16_000_000
"""Events of shoppers that are read at a time, about: some 100 bytes of memory each."""

RETENTION = timedelta(days=7)
"""How long `tidy` leaves files that only older versions use."""

_OF_URLS = frozenset("%[]")
_VERSION = re.compile(r"(\w+)@(-|\d+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = round(LATEST_S * 1_000)
_LOG_COLUMNS = ("event_id", "type", "user_id", "item_id", "arrived_at", "value")


@dataclass(frozen=True, slots=True)
class Part:
    """Shoppers with ids behind `begin` and up to `end`, None for no bound; about how many."""

    begin: str | None
    end: str | None
    shoppers: int
    since_ms: int | None = None
    """Only those of whom an event arrived since."""

    def of(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return those rows that are about the part's shoppers."""
        if self.begin is not None:
            rows = rows.filter(pl.col("user_id") > self.begin)
        return rows if self.end is None else rows.filter(pl.col("user_id") <= self.end)


class OfflineStore:
    """The three tables of one home. Raises `StoreError` where they cannot be read or written."""

    def __init__(self, home: Path, versions: Mapping[str, int | None] | None = None) -> None:
        """Use the tables below `home`; nothing is created before the first write.

        With `versions` read each table as it was then, None for not at all.
        """
        if _OF_URLS.intersection(str(home.absolute())):  # delta-rs takes them for parts of one
            raise InputError(f"CUVEE_HOME: expected a path without %, [, ], got {home.absolute()}")
        self._home = home
        self._root = home / "offline"
        self._versions = versions
        self._known = KnownIds()
        self._known_files: frozenset[Path] = frozenset()

    def append_events(self, batches: Batches, *, as_told: bool = False) -> Appended:
        """Add the events that are new, in one commit; those whose id is known change nothing.

        With `as_told` raises `InputError`, and writes nothing, where the tables say something
        else of a known id. Memory is bounded by 16 bytes an event of the table and of the input.
        """
        with self._writing():
            self._learn_ids()
            fresh = Fresh(stream(batches), self._known, self._check_said if as_told else None)
            self._write("events", Source(iter(fresh)), "append")
            return Appended(fresh.accepted, fresh.duplicates)

    def said_of(self, ids: Hashes) -> Said:
        """Return what the tables say of the events whose id has one of these hashes."""
        with _translated():
            return said_of(ids, self.paths("events"))

    def replace(self, table: str, batches: Batches) -> int:
        """Make these the only rows of `table`, in one commit, and return how many they are.

        The caller vouches that no id occurs twice: nothing is looked up.
        """
        source = Source(stream(batches))
        with self._writing():
            self._write(table, source, "overwrite")
            if table == "users" and (changes := self._delta(CHANGES)) is not None:
                changes.delete()
        return source.rows

    def put_items(self, items: pa.Table) -> int:
        """Add or replace items by id and return how many differ from what was there."""
        return self._upsert("items", "item_id", items)

    def put_users(self, users: pa.Table) -> int:
        """Add or replace shoppers by id and return how many differ from what was there.

        What is replaced counts for moments before.
        """
        return self._upsert("users", "user_id", users)

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

        Of `part` only, if one is given: those of its shoppers, and what is known of them.
        """
        events, users = self.scan("events").select(_LOG_COLUMNS), self.scan("users")
        events = self.merges().owned(events, until_ms)
        if until_ms is not None:
            events = events.filter(pl.col("arrived_at") < _moment(until_ms))
        if part is not None:
            events, users = part.of(events), part.of(users)
            if part.since_ms is not None:
                late = events.filter(pl.col("arrived_at") >= _moment(part.since_ms))
                whose = late.select("user_id").unique()
                events, users = (each.join(whose, "user_id", "semi") for each in (events, users))
        with _translated():
            return assemble.event_log(events.collect(), users.collect())

    def parts(self, behind: str | None = None, since_ms: int | None = None) -> "list[Part]":
        """Return the shoppers in the order of their ids, in parts of some `PART_EVENTS` events.

        All of them, or those whose id stands `behind` one, of whom an event arrived `since_ms`.
        """
        events = self.merges().owned(self.scan("events").select("user_id", "arrived_at"))
        users = self.scan("users").select("user_id")
        if behind is not None:
            events, users = (each.filter(pl.col("user_id") > behind) for each in (events, users))
        late = pl.lit(value=True)
        if since_ms is not None:
            late = (pl.col("arrived_at") >= _moment(since_ms)).any()
        with _translated():
            sizes = events.group_by("user_id").agg(pl.len(), late.alias("late"))
            told = sizes.filter("late").sort("user_id").collect()
            alone = since_ms is None and not len(told) and len(users.head(1).collect())
        if not len(told):
            return [Part(behind, None, 0)] if alone else []
        number = (told["len"].cum_sum() - told["len"]) // PART_EVENTS
        ends = told.group_by(number.alias("part"), maintain_order=True).agg(
            pl.col("user_id").last(), pl.len()
        )
        last_ids, counts = ends["user_id"].to_list(), ends["len"].to_list()
        begins = [behind, *last_ids[:-1]]
        return [
            Part(begin, end, count, since_ms)
            for begin, end, count in zip(begins, [*last_ids[:-1], None], counts, strict=True)
        ]

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
            self._write(MERGES, Source(stream(new.to_arrow())), "append")

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
        """Return the versions of the tables as one word, e.g. `events@3,items@1,users@-`."""
        with _translated():
            tables = {name: self._delta(name) for name in SCHEMAS}
            return ",".join(
                f"{name}@{'-' if table is None else table.version()}"
                for name, table in tables.items()
            )

    def at(self, version: str) -> "OfflineStore":
        """Return the store as it was when `version` told this; only to read from.

        Raises `InputError` where `version` is none.
        """
        told = dict(_VERSION.findall(version))
        if told.keys() != SCHEMAS.keys():
            raise InputError(f"version: expected events@N,items@N,users@N, got {version!r:.80}")
        numbers = {name: None if told[name] == "-" else int(told[name]) for name in SCHEMAS}
        return OfflineStore(self._home, numbers)

    def files(self) -> "list[tuple[str, int, list[tuple[str, int]]]]":
        """Return of each table that is there its name, version, and files with their sizes."""
        with _translated():
            tables = {name: self._delta(name) for name in SCHEMAS}
            return [
                (name, table.version(), _files_of(table))
                for name, table in tables.items()
                if table is not None
            ]

    def forget(self, user_id: str, until_ms: int | None = None) -> int:
        """Delete the shopper's events and record, and return how many rows that were.

        With `until_ms` events that arrived later stay. Earlier versions of the tables still
        hold all of it until `tidy` runs, at least `RETENTION` after this. Events of others who were
        merged into the shopper go, too; what was merged into another is the other's.
        """
        whose, until = f"user_id = {_quoted(user_id)}", _LATEST_MS if until_ms is None else until_ms
        merged = f"into = {_quoted(user_id)} AND at <= {_quoted(_moment(until))}"
        spans = self.merges().spans(user_id, until + 1)
        which = " OR ".join(f"({_arrived_in(span, until)})" for span in spans)
        others = ((name, whose) for name in ("users", CHANGES))
        deleted = 0
        with self._writing():
            for name, predicate in (("events", which), *others, (MERGES, merged)):
                table = self._delta(name)
                if table is not None:
                    deleted += int(table.delete(predicate)["num_deleted_rows"] or 0)
        return deleted

    def tidy(self, retention: timedelta = RETENTION) -> int:
        """Merge small files, remove those no version of the last `retention` uses; count these."""
        removed = 0
        with self._writing():
            for name in STORED:
                table = self._delta(name)
                if table is None:
                    continue
                table.optimize.compact()
                hours = int(retention.total_seconds() // 3_600)
                removed += len(table.vacuum(hours, dry_run=False, enforce_retention_duration=False))
        return removed

    def _delta(self, table: str) -> DeltaTable | None:
        path = self._root / table
        if not (path / "_delta_log").is_dir():
            return None
        if self._versions is None:
            return DeltaTable(path)
        if table not in self._versions:
            return DeltaTable(path)
        version = self._versions[table]
        return None if version is None else DeltaTable(path, version=version)

    def _paths(self, table: str, delta: DeltaTable) -> list[Path]:
        """Return the files of a table; delta-rs tells them as urls, polars wants paths."""
        return [self._root / table / name for name, _ in _files_of(delta)]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _translated():
            self._root.mkdir(parents=True, exist_ok=True)
            with (self._root / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    def _learn_ids(self) -> None:
        table = self._delta("events")
        files = frozenset(() if table is None else self._paths("events", table))
        if not self._known_files <= files:  # rows were deleted, or files merged: begin anew
            self._known, self._known_files = KnownIds(), frozenset()
        for file in sorted(files - self._known_files):
            self._known.add(id_hashes(pl.read_parquet(file, columns=["event_id"])["event_id"]))
        self._known_files = files

    def _check_said(self, told: Said) -> None:
        known = said_of(told.ids, sorted(self._known_files))
        differing = int(joined([known, told]).differing()[len(known) :].sum())
        if differing:
            raise InputError(
                f"the events table changed meanwhile: of {differing} ids it says something else "
                "now, and events never change; no event was written: ingest the file again to "
                "have its rows named"
            )

    def _write(self, table: str, source: Source, mode: Literal["append", "overwrite"]) -> None:
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
        self._write(CHANGES, Source(stream(rows)), "append")

    def _upsert(self, table: str, key: str, rows: pa.Table) -> int:
        with self._writing():
            incoming = as_frame(rows.select(SCHEMAS[table].names)).unique(key, keep="last")
            present = self.scan(table).collect()
            changed = incoming.join(present, on=present.columns, how="anti", nulls_equal=True)
            if not len(changed):
                return 0
            if table == "users":
                self._keep(present.join(changed, on=key, how="semi"))
            kept = present.join(changed, on=key, how="anti")
            merged = pl.concat((kept, changed), how="vertical_relaxed").sort(key)
            self._write(table, Source(stream(merged.to_arrow())), "overwrite")
            return len(changed)


def collected(rows: pl.LazyFrame) -> pl.DataFrame:
    """Return rows of a scan; raise `StoreError` where files of it are gone."""
    with _translated():
        return rows.collect(engine="streaming")


def _files_of(table: DeltaTable) -> list[tuple[str, int]]:
    added = pl.DataFrame(table.get_add_actions(flatten=True))
    return [(str(path), int(size)) for path, size in added.select("path", "size_bytes").rows()]


def _arrived_in(span: Span, until_ms: int) -> str:
    """Return the predicate of events of a span that arrived up to a moment."""
    told = f"user_id = {_quoted(span.user_id)}"
    if span.since_ms >= 0:
        told += f" AND arrived_at > {_quoted(_moment(span.since_ms))}"
    return f"{told} AND arrived_at <= {_quoted(_moment(min(span.until_ms, until_ms)))}"


def _quoted(value: str | datetime) -> str:
    if isinstance(value, datetime):
        value = f"{value:%Y-%m-%dT%H:%M:%S.%fZ}"
    return "'" + value.replace("'", "''") + "'"


def _moment(stamp_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=stamp_ms)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise StoreError(f"offline store: {reason:.300}") from error
