"""Served lists on their way into the table: each once, whoever is killed, without the forgotten."""

import asyncio
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from pyarrow import parquet

from features.erasure import Erasure
from features.errors import StoreError
from features.identity.forgotten import ForgottenList
from features.lists import spool
from features.lists.carrier import Carried, Carrier, carry_until
from features.lists.line import Noted, UsedFeatures, encode
from features.lists.spool import SegmentWriter
from features.offline.store import LISTS_KEPT, OfflineStore
from features.offline.tables import EVENTS, SERVED, SERVED_LISTS
from tests.support.carrying import POINTS
from tests.support.listed import (
    MOST_BYTES,
    USED_COLUMNS,
    done,
    happen,
    line_of_before,
    list_line,
    serve,
    serve_before,
    write_segment,
)
from tests.support.process import ROOT

AT_MS = 1_760_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
USED = UsedFeatures(np.array([np.nan, 0.5], np.float32), "5ced", AT_MS)
NOTHING = (None, None, None)


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return an empty store."""
    return OfflineStore(tmp_path)


def ids(store: OfflineStore) -> list[str]:
    """Return the ids of all lists in the table."""
    told: list[str] = store.served().collect()["recommendation_id"].sort().to_list()
    return told


def used_in(store: OfflineStore) -> dict[str, tuple[object, ...]]:
    """Return what the table says of features that were used, by list."""
    lists = store.served().sort("recommendation_id").collect()
    assert lists.schema == OfflineStore(store.home / "none").served().collect_schema()
    return {row[0]: row[1:] for row in lists.select("recommendation_id", *USED_COLUMNS).rows()}


def many(prefix: str, count: int) -> list[bytes]:
    """Return so many lists of a few shoppers, a minute apart."""
    return [list_line(f"{prefix}{n}", f"u{n % 3}", AT_MS + 60_000 * n) for n in range(count)]


def test_lists_come_into_the_table_once(store: OfflineStore) -> None:
    """As they were served; segments go, and a second look finds nothing."""
    chances = (0.25, 0.5, 1.0)
    write_segment(store.home, [list_line("r1", "ann", AT_MS, after=10, propensities=chances)])
    write_segment(
        store.home, [list_line("r2", "ben", AT_MS + 1, [], variant="canary", segment=None)]
    )
    carrier = Carrier(store)
    assert carrier.carry() == Carried(2)
    assert carrier.carry() == Carried()
    assert spool.whole_segments(store.home) == []
    one, other = store.served().sort("served_at").collect().to_dicts()
    assert one.keys() == set(SERVED_LISTS.names) - {"day"}
    assert one["served_at"] == datetime.fromtimestamp(AT_MS / 1_000, UTC)
    assert (one["items"], one["after"]) == (["i1", "i2", "i3"], 10)
    assert one["scores"] == pytest.approx([1, 1 / 2, 1 / 3], rel=1e-6)
    assert (one["propensities"], one["reasons"]) == ([*chances], ["popular"] * 3)
    assert (one["model_version"], one["variant"], one["segment"]) == ("v1", None, "type=Red")
    assert (other["items"], other["propensities"], other["variant"]) == ([], None, "canary")
    assert other["segment"] is None


def test_a_table_of_before_features_were_kept(store: OfflineStore) -> None:
    """Whatever is read has all columns; it is tidied, and forgotten from, as it is."""
    serve_before(
        store,
        line_of_before("r1", "ann", AT_MS),
        line_of_before("r2", "ben", AT_MS),
        line_of_before("r3", "ben", AT_MS - 91 * DAY_MS),
    )
    assert not {*USED_COLUMNS} & {*parquet.read_schema(store.paths(SERVED)[0]).names}
    assert used_in(store) == {"r1": NOTHING, "r2": NOTHING, "r3": NOTHING}
    store.tidy(timedelta(0))
    Erasure(store).forget({"ann": AT_MS})
    assert used_in(store) == {"r2": NOTHING}


def test_a_table_of_before_is_added_to(store: OfflineStore) -> None:
    """By the same numbers; lines of before are carried as well, and nothing of what was is lost."""
    serve_before(store, line_of_before("r1", "ann", AT_MS), line_of_before("r2", "ben", AT_MS))
    new = [list_line(f"r{n}", "ann", AT_MS + n, used=USED) for n in (3, 4)]
    serve(store, *new, line_of_before("r5", "cid", AT_MS))
    assert store.served_number() == 2
    told = [None, 0.5], USED.features_schema, datetime.fromtimestamp(AT_MS / 1_000, UTC)
    kept = {"r1": NOTHING, "r2": NOTHING, "r3": told, "r4": told, "r5": NOTHING}
    assert used_in(store) == kept
    store.tidy(timedelta(0))
    assert len(store.paths(SERVED)) == 1
    assert used_in(store) == kept
    Erasure(store).forget({"ann": AT_MS + 3})
    assert used_in(store) == {"r2": NOTHING, "r4": told, "r5": NOTHING}
    store.replace_all(EVENTS.empty_table(), {})
    assert used_in(store) == {}
    serve(store, *new[1:])
    assert used_in(store) == {"r4": told}


def test_a_home_without_lists_has_none(store: OfflineStore) -> None:
    """No folder, no table, no rows, and the columns all the same."""
    assert Carrier(store).carry() == Carried()
    assert list(store.home.iterdir()) == []
    assert store.served_number() == 0
    empty = store.served().collect()
    assert (len(empty), set(empty.columns)) == (0, set(SERVED_LISTS.names) - {"day"})
    serve(store, list_line("r", "u", AT_MS))
    assert store.served().collect().schema == empty.schema


def test_killed_anywhere_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """Before and after the note, in the commit and behind it, and while segments are removed."""
    homes = [tmp_path / point for point in POINTS]
    for home in homes:
        write_segment(home, many("a", 5))
        write_segment(home, many("b", 4))
        (home / spool.FOLDER / "1-1-dead.open").write_bytes(b"".join(many("c", 2)) + b'{"half')
    words = [f"{home}={home.name}" for home in homes]
    subprocess.run([sys.executable, "-m", "tests.support.carrying", *words], cwd=ROOT, check=True)
    expected = sorted([f"a{n}" for n in range(5)] + [f"b{n}" for n in range(4)] + ["c0", "c1"])
    for home in homes:
        store = OfflineStore(home)
        Carrier(store).carry()
        assert ids(store) == expected, home.name
        write_segment(home, many("d", 1))
        Carrier(store).carry()
        assert ids(store) == [*expected, "d0"], home.name
        assert {path.name for path in (home / spool.FOLDER).iterdir()} == {".lock"}


def test_a_note_that_is_none_is_begun_anew(store: OfflineStore) -> None:
    """Whoever wrote it did nothing else yet."""
    for content in (b"", b"{", b"[]", orjson.dumps({"number": 1})):
        write_segment(store.home, many("a", 1))
        (store.home / spool.FOLDER / ".carrying").write_bytes(content)
        assert Carrier(store).carry().lists == 1


def test_two_carriers_carry_each_list_once(store: OfflineStore) -> None:
    """Whoever comes second finds what is left."""
    for number in range(6):
        write_segment(store.home, many(f"s{number}-", 3))
    threads = [threading.Thread(target=Carrier(OfflineStore(store.home)).carry) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(ids(store)) == len({*ids(store)}) == 18


def test_lines_that_are_none_are_counted(store: OfflineStore) -> None:
    """And keep no other from coming in, of whatever kind they are; blanks are no lines."""
    strange = list_line("r3", "u", AT_MS, variant=7)
    wild = list_line("r4", "u", AT_MS, after=1 << 40)
    other = encode(b'{"recommendation_id":"r5"}', Noted(AT_MS, "home"))
    write_segment(store.home, [list_line("r1", "u", AT_MS), b"{\n", strange, wild, other])
    write_segment(store.home, [b"x\n", b"   \n"])
    write_segment(store.home, [list_line("r2", "u", AT_MS)])
    assert Carrier(store).carry() == Carried(2, 5)
    assert ids(store) == ["r1", "r2"]


def test_the_forgotten_do_not_come_in(store: OfflineStore) -> None:
    """Up to their forgetting, those who were merged into them by then included."""
    store.merge([("session:1", "ann", AT_MS + 10)])
    ForgottenList(store.home).add({"ann": AT_MS + 20})
    lines = [
        list_line("r1", "ann", AT_MS + 20),
        list_line("r2", "ann", AT_MS + 21),
        list_line("r3", "session:1", AT_MS + 10),
        list_line("r4", "session:1", AT_MS + 11),
        list_line("r5", "ben", AT_MS),
    ]
    write_segment(store.home, lines)
    assert Carrier(store).carry() == Carried(3, 0, 2)
    assert ids(store) == ["r2", "r4", "r5"]


def test_forgetting_reaches_table_and_segments(store: OfflineStore) -> None:
    """What was served up to then, to the shopper and to the session that became theirs.

    With it goes what was used of their features.
    """
    store.merge([("session:1", "it's", AT_MS + 10)])
    shown = [("it's", 0), ("it's", 50), ("session:1", 10), ("session:1", 11), ("ben", 0)]
    lines = [
        list_line(
            f"r{n}", whose, AT_MS + ms, used=USED._replace(features=np.array([n], np.float32))
        )
        for n, (whose, ms) in enumerate(shown, 1)
    ]
    serve(store, *lines)
    kept = list_line("r7", "ben", AT_MS, used=USED)
    write_segment(store.home, [list_line("r6", "it's", AT_MS, used=USED), kept])
    Erasure(store).forget({"it's": AT_MS + 30})
    assert ids(store) == ["r2", "r4", "r5"]
    (segment,) = spool.whole_segments(store.home)
    assert segment.path.read_bytes() == kept
    Erasure(store).forget({"ben": AT_MS})
    assert ids(store) == ["r2", "r4"]
    store.tidy(timedelta(0))
    files = (store.home / "offline" / SERVED).glob("day=*/*.parquet")
    assert sorted(pl.concat(map(pl.read_parquet, files))["features"].to_list()) == [[2.0], [4.0]]


def test_lists_of_a_clock_that_was_ahead_are_forgotten(store: OfflineStore) -> None:
    """Wherever they are: in the table, whole segments and those that are written to.

    Whoever comes back is served again, and of others nothing goes.
    """
    now_ms = int(time.time() * 1_000)
    ahead_ms, until_ms = now_ms + HOUR_MS, now_ms - 10 * HOUR_MS
    store.merge([("session:1", "ann", until_ms - 10)])

    def lists(place: str) -> list[bytes]:
        return [
            list_line(f"{place} ahead", "ann", ahead_ms),
            list_line(f"{place} merged", "session:1", ahead_ms),
            list_line(f"{place} before", "ann", until_ms),
            list_line(f"{place} back", "ann", until_ms + 1),
            list_line(f"{place} other", "ben", ahead_ms),
        ]

    serve(store, *lists("table"))
    write_segment(store.home, lists("whole"))
    writer = SegmentWriter(store.home, MOST_BYTES)
    writer.write(lists("open"))
    Erasure(store).forget({"ann": until_ms})
    writer.write([*lists("late")[:1], list_line("next", "ben", now_ms)])
    writer.close()

    assert Carrier(store).carry() == Carried(5, 0, 1)
    places = ("open", "table", "whole")
    kept = [f"{place} {which}" for place in places for which in ("back", "other")]
    assert ids(store) == sorted(["next", *kept])


def test_tables_that_fail_are_told_and_tried_again(store: OfflineStore) -> None:
    """The segments wait."""
    write_segment(store.home, many("a", 3))
    (store.home / "offline").write_text("in the way")
    with pytest.raises(StoreError, match="offline"):
        Carrier(store).carry()
    assert len(spool.whole_segments(store.home)) == 1
    (store.home / "offline").unlink()
    assert Carrier(store).carry() == Carried(3)


def test_numbers_outlive_tidying(store: OfflineStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was carried is known when its commit is no more; small files become few."""
    monkeypatch.setattr("features.offline.tidying.TIDY_EVERY", 3)
    for number in range(3):
        serve(store, *many(f"a{number}", 1))
    assert len(store.paths(SERVED)) == 3
    carrier = Carrier(store)
    for number in range(3):
        write_segment(store.home, many(f"b{number}", 1))
        carrier.carry()
    assert len(store.paths(SERVED)) == 1
    store.tidy(timedelta(0))
    assert store.served_number() == 6
    assert store.append_served([], 6) is None
    serve(store, *many("c", 1))
    assert store.served_number() == 7
    assert len(ids(store)) == 7


def test_old_days_go_and_a_clock_that_is_ahead_takes_none(
    store: OfflineStore,
) -> None:
    """So many days up to the latest list are kept, whatever the clock says."""
    serve(store, *[list_line(f"r{n:02}", "u", AT_MS - n * DAY_MS) for n in (0, 1, 90, 91, 200)])
    store.tidy()  # the clock of today is far behind the last of them
    assert ids(store) == ["r00", "r01", "r90"]
    assert timedelta(days=90) == LISTS_KEPT
    today = datetime.fromtimestamp(AT_MS / 1_000, UTC).date()
    assert len(store.served(today, today).collect()) == 1
    assert len(store.served(date.min, today - timedelta(days=1)).collect()) == 2


def test_a_shop_that_is_replaced_has_no_lists(store: OfflineStore) -> None:
    """What became of them stood in the events before."""
    serve(store, *many("a", 2))
    happen(store, done("e1", "u0", "i1", AT_MS))
    store.replace_all(EVENTS.empty_table(), {})
    assert ids(store) == []
    serve(store, *many("b", 1))
    assert ids(store) == ["b0"]


async def test_it_carries_until_told_to_stop(
    store: OfflineStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fails meanwhile is said once, and once when it works again."""
    stop, carrier = asyncio.Event(), Carrier(store)
    write_segment(store.home, [*many("a", 2), b"{\n"])
    (store.home / "offline").write_text("in the way")
    task = asyncio.ensure_future(carry_until(stop, carrier, every_s=0.01))
    await _until(lambda: "trying until it works" in caplog.text)
    (store.home / "offline").unlink()
    await _until(lambda: "carried again" in caplog.text)
    stop.set()
    await task
    assert caplog.text.count("trying until it works") == 1
    assert "1 lines of served lists are none" in caplog.text
    assert ids(store) == ["a0", "a1"]


async def _until(holds: Any) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_living_writer_is_not_disturbed(store: OfflineStore) -> None:
    """What it adds to is carried when it is whole."""
    writer = SegmentWriter(store.home, MOST_BYTES)
    writer.write(many("a", 1))
    assert Carrier(store).carry() == Carried()
    writer.write(many("b", 1))
    writer.close()
    assert Carrier(store).carry() == Carried(2)
