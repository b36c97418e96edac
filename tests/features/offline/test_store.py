"""The offline store over real Delta tables."""

import errno
import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner

from features.catalogue import numbered
from features.errors import InputError, StoreError
from features.events import Event, EventType, pack_event
from features.offline.known_events import KnownEvents
from features.offline.said import hashed
from features.offline.show import show_command, summary
from features.offline.store import OfflineStore, Written
from features.offline.tables import EVENTS, ITEMS, STAGED, USERS
from features.offline.translated import translated
from features.scratch import scratch_folder
from tests.support.abandoned import abandoned

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEVER_MS = 4_102_444_800_000


def events(*rows: dict[str, Any]) -> pa.Table:
    """Return an events table; what a row leaves out has a plain value."""
    plain = {"type": "click", "user_id": "u1", "item_id": "i1", "timestamp": NOON}
    whole = [plain | {"arrived_at": row.get("timestamp", NOON)} | row for row in rows]
    return pa.Table.from_pylist(whole, schema=EVENTS)


def known_of(store: OfflineStore, table: pa.Table) -> KnownEvents:
    """Return what a store says of the events of a table."""
    return store.known(hashed(pl.DataFrame(table)).ids)


def item(item_id: str, **fields: Any) -> dict[str, Any]:
    """Return one row of the items table."""
    return {"item_id": item_id, "category": "Red", "price": 9.5, "in_stock": True} | fields


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return a store in an empty home."""
    return OfflineStore(tmp_path)


def test_an_untouched_store_is_empty_and_readable(store: OfflineStore, tmp_path: Path) -> None:
    """A home without tables reads as empty tables, and reading creates nothing."""
    assert store.is_empty()
    assert store.version() == "events@-,items@-,users@-"
    assert store.event_log().user_ids == ()
    assert len(store.catalogue()) == 0
    assert store.forget({"nobody": NEVER_MS}) == 0
    assert not list((tmp_path / "offline").glob("*/_delta_log"))


def test_show_tells_when_events_arrived(store: OfflineStore) -> None:
    """The clock of one client, far ahead, says nothing of the data's span."""
    ahead = datetime(2096, 1, 1, tzinfo=UTC)
    store.append_events(
        events({"event_id": "a"}, {"event_id": "b", "timestamp": ahead} | {"arrived_at": NOON})
    )

    told = summary(store)

    assert told["first"] == told["last"] == NOON.isoformat()


def test_the_same_events_twice_change_nothing(store: OfflineStore) -> None:
    """A second append of known ids counts duplicates and commits no version."""
    batch = events({"event_id": "a"}, {"event_id": "b"}, {"event_id": "a"})

    assert store.append_events(batch) == Written(2, 1)
    before = store.version()

    assert store.append_events(batch) == Written(0, 3)
    assert store.version() == before == "events@0,items@-,users@-"
    assert OfflineStore(store._root.parent).append_events(batch) == Written(0, 3)


def test_events_as_told_never_change(store: OfflineStore) -> None:
    """Where it is asked for, a known id that says something else stops the whole append."""
    store.append_events(events({"event_id": "a"}, {"event_id": "b", "value": 2.0}))
    same = events({"event_id": "b", "value": 2.0, "session_id": "s"}, {"event_id": "c"})
    other = events({"event_id": "d"}, {"event_id": "b", "value": 3.0})

    assert store.append_events(same, known_of(store, same)) == Written(1, 1)
    with pytest.raises(InputError, match="of 1 ids it says something else now"):
        store.append_events(other, known_of(store, other))
    with pytest.raises(InputError, match="of 1 ids it says something else now"):
        store.append_events(other.slice(1), known_of(store, other.slice(1)))
    assert store.count("events") == 3
    assert store.append_events(other) == Written(1, 1)


def test_a_first_commit_that_was_never_made_is_no_table(
    store: OfflineStore, tmp_path: Path
) -> None:
    """A log without an entry is what its writer leaves that is killed; the next one goes on."""
    log = tmp_path / "offline" / "events" / "_delta_log"
    log.mkdir(parents=True)
    (log.parent / "part-0.parquet").write_bytes(b"PAR1 half")

    assert (store.count("events"), store.version()) == (0, "events@-,items@-,users@-")
    assert store.append_events(events({"event_id": "a"})) == Written(1, 0)
    assert store.count("events") == len(store.scan("events").collect()) == 1


def test_ids_written_by_another_store_are_known(store: OfflineStore, tmp_path: Path) -> None:
    """What another process appends, deletes or merges meanwhile is noticed by its files."""
    other = OfflineStore(tmp_path)
    store.append_events(events({"event_id": "a"}))
    other.append_events(events({"event_id": "b"}))

    assert store.append_events(events({"event_id": "b"}, {"event_id": "c"})) == Written(1, 1)

    other.tidy()
    assert store.append_events(events({"event_id": "c"})) == Written(0, 1)
    other.forget({"u1": NEVER_MS})
    assert store.append_events(events({"event_id": "c"})) == Written(1, 0)


def test_duplicates_across_batches_of_a_stream_are_dropped(store: OfflineStore) -> None:
    """Ids met in an earlier batch of the same stream are duplicates."""
    batches = [events({"event_id": f"{n % 70}"}).to_batches()[0] for n in range(100)]

    assert store.append_events(iter(batches)) == Written(70, 30)
    assert store.count("events") == 70


def test_a_stream_that_fails_writes_nothing(store: OfflineStore) -> None:
    """An error half way is raised as itself and leaves the version as it was."""
    store.append_events(events({"event_id": "a"}))

    def broken() -> Iterator[pa.RecordBatch]:
        yield events({"event_id": "b"}).to_batches()[0]
        raise InputError("half a file")

    with pytest.raises(InputError, match="half a file"):
        store.append_events(broken())

    assert store.version().startswith("events@0")
    assert store.append_events(events({"event_id": "b"})) == Written(1, 0)


def test_concurrent_appends_accept_each_event_once(tmp_path: Path) -> None:
    """Six writers with overlapping events leave each event exactly once."""
    accepted: list[int] = []

    def write(start: int) -> None:
        rows = [{"event_id": f"{n}"} for n in range(start, start + 40)]
        accepted.append(OfflineStore(tmp_path).append_events(events(*rows)).accepted)

    writers = [threading.Thread(target=write, args=(20 * n,)) for n in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    ids = OfflineStore(tmp_path).scan("events").collect()["event_id"]
    assert sum(accepted) == len(ids) == ids.n_unique() == 140


def test_unchanged_items_make_no_version(store: OfflineStore) -> None:
    """Items are replaced by id; the same ones again commit nothing."""
    store.put_items(pa.Table.from_pylist([item("b"), item("a", price=None)], schema=ITEMS))

    again = pa.Table.from_pylist([item("a", price=None)], schema=ITEMS)
    assert store.put_items(again) == 0
    assert store.version() == "events@-,items@0,users@-"

    assert store.put_items(pa.Table.from_pylist([item("a", price=3.0)], schema=ITEMS)) == 1
    assert store.version() == "events@-,items@1,users@-"
    assert store.item_ids().to_list() == ["a", "b"]
    assert store.catalogue().price.tolist() == pytest.approx([3.0, 9.5])


def test_the_catalogue_has_attributes_as_columns(store: OfflineStore) -> None:
    """An attribute is numeric where all its values are; what is missing is NaN or empty."""
    rows = [
        item("a", attributes=json.dumps({"abv": 13.5, "grape": "Merlot", "body": 3})),
        item("b", attributes=json.dumps({"abv": 12, "body": "full"}), category=None),
        item("c", price=None, in_stock=False),
    ]
    store.put_items(pa.Table.from_pylist(rows, schema=ITEMS))

    catalogue = store.catalogue()

    assert catalogue.item_ids == ("a", "b", "c")
    assert catalogue.category.tolist() == ["Red", "", "Red"]
    assert np.isnan(catalogue.price[2])
    assert catalogue.in_stock.tolist() == [True, True, False]
    assert catalogue.attributes["abv"].dtype == np.float32
    assert catalogue.attributes["abv"][:2].tolist() == [13.5, 12.0]
    assert catalogue.attributes["grape"].tolist() == ["Merlot", "", ""]
    assert catalogue.attributes["body"].tolist() == ["3", "full", ""]


def test_the_event_log_holds_the_records_the_online_store_packs(store: OfflineStore) -> None:
    """Records are bit for bit `pack_event`'s, sorted by shopper, stamp and tag."""
    rows = [
        ("z", "purchase", "é", "i2", 19.995, 5),
        ("y", "session", "é", None, 61.5, 3),
        ("x", "rating", "a", "i1", 4.5, 9),
        ("w", "click", "é", "i1", None, 3),
    ]
    store.append_events(
        events(
            *(
                {
                    "event_id": event_id,
                    "type": kind,
                    "user_id": user,
                    "item_id": item_id,
                    "value": value,
                    "arrived_at": NOON + timedelta(milliseconds=lag),
                }
                for event_id, kind, user, item_id, value, lag in rows
            )
        )
    )

    log = store.event_log()

    stamp = int(NOON.timestamp() * 1_000)
    packed = {
        event_id: pack_event(
            Event(event_id, EventType(kind), user, 0.0, item_id, value), stamp + lag
        )
        for event_id, kind, user, item_id, value, lag in rows
    }
    tied = sorted((packed["y"], packed["w"]), key=lambda record: record[20:24][::-1])
    assert log.user_ids == ("a", "é")
    assert log.offsets.tolist() == [0, 1, 4]
    assert log.of(0).tobytes() == packed["x"]
    assert log.of(1).tobytes() == b"".join(tied) + packed["z"]


def test_the_event_log_ends_before_the_given_moment(store: OfflineStore) -> None:
    """`until_ms` is exclusive and counts the server's stamp, not the client's time."""
    later = NOON + timedelta(seconds=1)
    store.append_events(
        events({"event_id": "a"}, {"event_id": "b", "timestamp": NOON, "arrived_at": later})
    )

    until = int(later.timestamp() * 1_000)

    assert len(store.event_log(until).records) == 1
    assert len(store.event_log(until + 1).records) == 2


def test_profiles_hold_country_and_attributes(store: OfflineStore) -> None:
    """A shopper's record is in `profiles`, without what is unknown."""
    rows = [
        {"user_id": "u1", "country": "FR", "attributes": json.dumps({"age": 41, "vip": None})},
        {"user_id": "u2", "country": None, "attributes": None},
    ]
    store.put_users(pa.Table.from_pylist(rows, schema=USERS))
    store.append_events(events({"event_id": "a"}))

    assert store.event_log().profiles == {"u1": {"country": "FR", "age": 41}, "u2": {}}


def test_forgetting_removes_events_and_record(store: OfflineStore) -> None:
    """Only the shopper named is forgotten, whatever characters the id has."""
    nasty = "o'; DROP --'"
    store.append_events(events({"event_id": "a"}, {"event_id": "b", "user_id": nasty}))
    store.put_users(pa.Table.from_pylist([{"user_id": nasty}, {"user_id": "u1"}], schema=USERS))

    assert store.forget({nasty: NEVER_MS}) == 2
    assert store.scan("events").collect()["user_id"].to_list() == ["u1"]
    assert store.scan("users").collect()["user_id"].to_list() == ["u1"]


def test_many_are_forgotten_at_once(store: OfflineStore, tmp_path: Path) -> None:
    """Up to a stamp each, in one commit, and in no log by name."""
    users = ("a", "came-back", "vanished", "z")
    late = {"timestamp": NOON + timedelta(hours=2)}
    store.append_events(events(*({"event_id": f"e-{user}", "user_id": user} for user in users)))
    store.append_events(
        events(*({"event_id": f"l-{user}", "user_id": user} | late for user in users))
    )
    until_ms = round(NOON.timestamp() * 1_000)
    before = {each.name for each in store.paths("events")}

    assert store.forget({"came-back": until_ms, "vanished": NEVER_MS, "nobody": NEVER_MS}) == 3

    left = store.scan("events").select("event_id").collect()["event_id"].sort().to_list()
    assert left == ["e-a", "e-z", "l-a", "l-came-back", "l-z"]
    assert store.version() == "events@2,items@-,users@-"
    assert store.forget({"nobody": NEVER_MS}) == 0
    assert store.version() == "events@2,items@-,users@-"  # nothing to forget is no commit
    assert before.isdisjoint(each.name for each in store.paths("events"))
    logs = [path.read_bytes() for path in (tmp_path / "offline").rglob("_delta_log/*")]
    assert not any(b"vanished" in log for log in logs)


def test_what_the_killed_had_staged_is_forgotten(store: OfflineStore, tmp_path: Path) -> None:
    """What somebody is staging now stays: they heed the list when they write it."""
    left = abandoned(tmp_path / "offline", STAGED)
    (left / "events.parquet").write_bytes(b"rows of u1")
    with scratch_folder(tmp_path / "offline", ".staged-") as mine:
        left = abandoned(tmp_path / "offline", ".staged-other-")
        store.forget({"u1": NEVER_MS})
        assert mine.exists()

    assert not left.exists()
    assert [each.name for each in (tmp_path / "offline").iterdir()] == [".lock"]


def test_tidying_removes_what_was_forgotten_from_disk(store: OfflineStore, tmp_path: Path) -> None:
    """After the retention no file holds a forgotten shopper any more, nor does the log."""
    store.append_events(events({"event_id": "a", "user_id": "gone-shopper"}))
    store.append_events(events({"event_id": "b"}))
    store.forget({"gone-shopper": NEVER_MS})

    def on_disk() -> bool:
        files = (tmp_path / "offline" / "events").rglob("*")
        return any(b"gone-shopper" in file.read_bytes() for file in files if file.is_file())

    assert on_disk()
    assert store.tidy(timedelta(0)) > 0
    assert not on_disk()
    assert store.count("events") == 1
    with pytest.raises(StoreError, match="version 0 of events is not there any more"):
        store.at("events@0,items@-,users@-").count("events")


def test_tidying_leaves_versions_of_the_last_days(store: OfflineStore, tmp_path: Path) -> None:
    """They can be read, and so can those before of which the log must tell for them."""
    for number in range(3):
        store.append_events(events({"event_id": f"e{number}"}))
    old = tmp_path / "offline" / "events" / "_delta_log" / f"{0:020d}.json"
    os.utime(old, (0, 0))

    store.tidy()
    store.tidy()

    for number in range(3):
        assert store.at(f"events@{number},items@-,users@-").count("events") == number + 1


def test_tidying_removes_files_of_a_commit_that_was_never_made(
    store: OfflineStore, tmp_path: Path
) -> None:
    """Once nobody can be at it any more: a writer was killed."""
    store.append_events(events({"event_id": "a"}))
    old, new = (tmp_path / "offline" / "events" / f"part-{name}.parquet" for name in "ab")
    for path in (old, new):
        path.write_bytes(b"rows")
    os.utime(old, (0, 0))

    assert store.tidy() == 1

    assert (old.exists(), new.exists()) == (False, True)
    assert store.count("events") == 1


def test_a_broken_table_is_a_store_error(store: OfflineStore, tmp_path: Path) -> None:
    """A damaged log is named as the store's trouble, not a traceback of the library."""
    log = tmp_path / "offline" / "events" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("{not json")

    with pytest.raises(StoreError, match="offline store"):
        store.append_events(events({"event_id": "a"}))


@pytest.mark.parametrize("name", ["a b", "été", "x#y", "q?r", "y*z"])
def test_a_home_may_be_called_anything(tmp_path: Path, name: str) -> None:
    """Written, read, added to, and read as it was."""
    store = OfflineStore(tmp_path / name)
    store.append_events(events({"event_id": "e1"}, {"event_id": "e2"}))
    assert store.append_events(events({"event_id": "e2"}, {"event_id": "e3"})).duplicates == 1
    assert store.scan("events").collect().height == 3
    assert store.at("events@0,items@-,users@-").count("events") == 2
    assert len(store.event_log().records) == 3


@pytest.mark.parametrize("name", ["p%20q", "[z]"])
def test_a_home_that_cannot_be_is_told(tmp_path: Path, name: str) -> None:
    """The library that writes the tables takes it for something else."""
    with pytest.raises(InputError, match="expected a path without %"):
        OfflineStore(tmp_path / name)


def test_a_file_that_fails_is_named_in_words() -> None:
    """As everywhere: its name and what befell it, without the system's number."""
    told = r"^offline store: /home/offline: Read-only file system$"
    with pytest.raises(StoreError, match=told), translated():
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/home/offline")
    with pytest.raises(StoreError, match=r"^offline store: gone$"), translated():
        raise OSError("gone\nfor good")


@pytest.mark.parametrize("name", ["{}/shop", "shop"])
def test_what_is_shown_says_of_which_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A home is a path, and of another directory it is another: it is told in full."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(show_command, env={"CUVEE_HOME": name.format(tmp_path)})
    assert done.stdout.splitlines()[0].split() == ["home", str(tmp_path / "shop")]


def test_a_long_category_costs_what_it_is_long(store: OfflineStore) -> None:
    """Not that for each item."""
    rows = [item(f"wine-{number}") for number in range(2_000)]
    rows.append(item("wrong column", category="x" * 20_000))
    store.put_items(pa.Table.from_pylist(rows, schema=ITEMS))
    tracemalloc.start()
    values, numbers = numbered(store.catalogue().category)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    assert values == ["Red", "x" * 20_000]
    assert np.bincount(numbers).tolist() == [2_000, 1]
