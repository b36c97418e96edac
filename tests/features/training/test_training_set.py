"""Training sets: every row as it was known, in its place, whatever the size, or a clear refusal."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import features.training.local_engine
import features.training.part
import features.training.training_set
from features.__main__ import cli
from features.computation.point_in_time import joined, known_at
from features.declared import FEATURE_NAMES, FEATURE_SET
from features.errors import InputError
from features.eventlog import NO_RECORDS, EventLog
from features.events import OUTSIDE
from features.moments import Moment
from features.offline.store import OfflineStore
from features.online.stream_entries import Entry
from features.stream.archive import events_table
from features.training.labels import MASK, MOST_TOLD, Labels, read_labels
from features.training.training_set import write_training_set
from tests.support.behaviour import NOW_MS
from tests.support.labelled import entries, labels

NOBODY = EventLog(("nobody",), np.zeros(2, np.int64), NO_RECORDS)


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return a store of a thousand events of ten shoppers, of whom one lives somewhere."""
    told = OfflineStore(tmp_path)
    told.append_events(events_table(entries(np.random.default_rng(1), 1_000, 10)))
    told.put_users(
        pl.DataFrame(
            {"user_id": ["u1"], "country": ["FR"], "attributes": ['{"age": 41}']}
        ).to_arrow()
    )
    return told


def as_known(store: OfflineStore, given: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of each row, one row after the other, from the log of all events."""
    log = store.event_log()
    numbers = {user_id: number for number, user_id in enumerate(log.user_ids)}
    values = np.empty((len(given), len(FEATURE_NAMES)), np.float32)
    missing = np.empty(values.shape, bool)
    for row, (user_id, country) in enumerate(given.rows.select("user_id", "country").rows()):
        moment = Moment(int(given.as_of_ms[row]), country, None, log.profiles.get(user_id))
        known = user_id in numbers
        told = known_at(log if known else NOBODY, [numbers.get(user_id, 0)], [moment]).vectors()
        values[row], missing[row] = told.values[0], told.missing[0]
    return values, missing


@pytest.mark.parametrize(
    ("chunk", "part", "at_once"), [(10**6, 10**6, 10**5), (70, 300, 7), (500, 50, 1)]
)
def test_every_row_is_as_it_was_known(
    store: OfflineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    chunk: int, part: int, at_once: int,
) -> None:  # fmt: skip
    """In the order of the labels, to the bit, however many are done at a time."""
    monkeypatch.setattr(features.training.training_set, "CHUNK", chunk)
    monkeypatch.setattr(features.training.local_engine, "PART_EVENTS", part)
    monkeypatch.setattr(features.training.part, "AT_ONCE", at_once)
    given = labels(np.random.default_rng(2), 200, 10)
    path = tmp_path / "set.parquet"

    told = write_training_set(store, given, path, mask=True)

    frame = pl.read_parquet(path)
    assert frame.select(given.rows.columns).equals(given.rows)
    values, missing = as_known(store, given)
    for column, name in enumerate(FEATURE_NAMES):
        assert frame[name].cast(pl.Float32).to_list() == values[:, column].tolist(), name
        assert frame[name + MASK].to_list() == missing[:, column].tolist(), name
    assert told.rows == 200
    strangers = missing[:, FEATURE_NAMES.index("recent_click_count")].sum()
    assert told.strangers == strangers > 10


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_later_events_change_no_row(store: OfflineStore, tmp_path: Path, seed: int) -> None:
    """What arrives at or after a row's moment is not in it."""
    random = np.random.default_rng(seed)
    given = labels(random, 40, 10)
    before, after = tmp_path / "before.parquet", tmp_path / "after.parquet"
    write_training_set(store, given, before, mask=True)
    end = int(given.as_of_ms.max())
    later = [
        Entry(each.entry_id, end + n, each.event)
        for n, each in enumerate(entries(random, 50, 12, first=10_000 * (seed + 1)))
    ]
    store.append_events(events_table(later))
    write_training_set(store, given, after, mask=True)
    assert pl.read_parquet(after).equals(pl.read_parquet(before))


def run(home: Path, *words: str) -> Result:
    """Run `python -m features training-set` in a home."""
    return CliRunner().invoke(cli, ["training-set", *words], env={"CUVEE_HOME": str(home)})


@pytest.mark.usefixtures("store")
def test_labels_may_be_a_query(tmp_path: Path) -> None:
    """Of the tables; types are those that are declared, and the file says what it is of."""
    out = tmp_path / "set.parquet"
    query = "select user_id, arrived_at as at, value as paid from events where type = 'purchase'"
    told = run(tmp_path, "--labels", query, "--as-of", "at", "--out", str(out))
    assert told.exit_code == 0, told.output
    frame = pl.read_parquet(out)
    assert f"{out}: {len(frame)} rows" in told.stdout
    assert frame.columns == ["user_id", "at", "paid", *FEATURE_NAMES]
    assert frame.schema["recent_click_count"] == pl.Int64
    assert frame.schema["recent_spend"] == pl.Float32
    assert frame.schema["is_weekend"] == pl.Boolean
    about = json.loads(parquet.read_schema(out).metadata[b"cuvee"])
    assert about == {"features": FEATURE_SET.schema_hash, "dataset": "events@0,items@-,users@0"}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_may_be_a_file(tmp_path: Path, suffix: str) -> None:
    """The same rows, from CSV and Parquet; moments in any zone, numbers as numbers."""
    when = datetime.fromtimestamp(NOW_MS / 1_000, UTC)
    rows = pl.DataFrame(
        {
            "user_id": ["u1", "u2", "007"],
            "at": [when.isoformat(), (when + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%SZ"),
                   when.astimezone().isoformat()],
            "label": [1.5, 2.0, 0.0],
        }
    )  # fmt: skip
    path, out = tmp_path / f"labels.{suffix}", tmp_path / "set.parquet"
    rows.write_csv(path) if suffix == "csv" else rows.write_parquet(path)
    told = run(tmp_path, "--labels", str(path), "--as-of", "at", "--out", str(out))
    assert told.exit_code == 0, told.output
    frame = pl.read_parquet(out)
    assert frame["user_id"].to_list() == ["u1", "u2", "007"]
    assert frame["label"].to_list() == [1.5, 2.0, 0.0]
    assert frame["hour"].to_list() == [when.hour, (when.hour + 1) % 24, when.hour]
    assert frame["age"].to_list() == [41, 0, 0]


@pytest.mark.usefixtures("store")
def test_labels_of_a_file_are_kept_as_they_are(tmp_path: Path) -> None:
    """Whole numbers stay whole, true stays true, and text with numbers in it stays text."""
    path, out = tmp_path / "labels.csv", tmp_path / "set.parquet"
    path.write_text(
        "user_id,at,order_id,liked,lat,note,moment of at\n"
        f" u1 ,{NOW_MS // 1_000},9007199254740993,true,48.5,7,dawn\n"
        f"u2,{NOW_MS // 1_000},2,FALSE,,x,noon\n"
    )
    told = run(tmp_path, "--labels", str(path), "--as-of", "at", "--out", str(out))
    assert told.exit_code == 0, told.output
    frame = pl.read_parquet(out)
    assert frame["user_id"].to_list() == ["u1", "u2"]  # blanks at the ends are no part of ids
    assert frame["order_id"].to_list() == [9_007_199_254_740_993, 2]
    assert frame["liked"].to_list() == [True, False]
    assert frame["note"].to_list() == ["7", "x"]
    assert frame["moment of at"].to_list() == ["dawn", "noon"]
    assert frame["latitude"].to_list() == [48.5, 0.0]


@pytest.mark.usefixtures("store")
def test_labels_of_other_types_are_told(tmp_path: Path) -> None:
    """Lists are no ids, and a time of day is no moment."""
    path = tmp_path / "labels.parquet"
    pl.DataFrame({"user_id": [["u1"]], "at": [1.0]}).write_parquet(path)
    told = run(tmp_path, "--labels", str(path), "--as-of", "at", "--out", str(tmp_path / "o"))
    assert told.exit_code == 2
    assert "expected ids and moments, got user_id of List(String)" in told.stderr
    pl.DataFrame({"user_id": ["u1"], "at": [1.0], "lat": [[48.8]]}).write_parquet(path)
    told = run(tmp_path, "--labels", str(path), "--as-of", "at", "--out", str(tmp_path / "o"))
    assert told.exit_code == 2
    assert "expected text in country, numbers in lat" in told.stderr


def test_a_place_that_cannot_be_written_is_told(store: OfflineStore, tmp_path: Path) -> None:
    """A directory, for example."""
    assert store.count("events")
    (tmp_path / "set").mkdir()
    query = "select user_id, arrived_at as at from events"
    out = tmp_path / "set" / ("x" * 300)
    told = run(tmp_path, "--labels", query, "--as-of", "at", "--out", str(out))
    assert told.exit_code == 2
    assert "Traceback" not in told.stderr
    assert "name too long" in told.stderr.lower()


TIMES = {
    "1760000000000": "row 2: at: looks like milliseconds: divide by 1,000, got '1760000000000'",
    "soon": "row 2: at: expected seconds since 1970 or ISO 8601, got 'soon'",
    "nan": "row 2: at: expected seconds since 1970 or ISO 8601",
    "inf": "row 2: at: expected seconds since 1970 or ISO 8601",
    "-5": f"row 2: at: {OUTSIDE}, got",
    "2101-01-01": f"row 2: at: {OUTSIDE}, got '2101-01-01'",
    "2099-01-01": "row 2: at: lies more than a day in the future: check its year, and this "
    "machine's clock, got '2099-01-01'",
    "": "row 2: at: expected seconds since 1970 or ISO 8601, got",
}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("time", TIMES)
def test_moments_that_cannot_be_are_told(tmp_path: Path, time: str) -> None:
    """With row, column, value, and what was expected; nothing is written."""
    path, out = tmp_path / "labels.csv", tmp_path / "set.parquet"
    path.write_text(f"user_id,at\nu1,{time}\nu2,2025-01-01\n")
    told = run(tmp_path, "--labels", str(path), "--as-of", "at", "--out", str(out))
    assert told.exit_code == 2
    assert f"error: --labels: {path}: {TIMES[time]}" in told.stderr
    assert [each.name for each in tmp_path.glob("*set*")] == []


FINITE = "expected a number that is finite: leave it empty (null) where there is none"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("text", "as_of", "expected"),
    [
        ("user_id,at\n", "at", "holds no rows"),
        ("user,at\nu1,1\n", "at", "there is no column 'user_id'; it has user, at"),
        (
            "user_id,at\nu1,1\n",
            "att",
            "there is no column 'att'; it has user_id, at; did you mean at?",
        ),
        ("user_id,at\n,1\n", "at", "row 2: user_id: expected a shopper's id, got"),
        (f"user_id,at\n{'x' * 10**6},1\n", "at", "row 2: user_id: expected at most 128 characters"),
        ("user_id,at\nu1,1,2\n", "at", "row 2: expected 2 columns, got 3"),
        ("user_id;at\nu1;1\n", "at", "header is one column, 'user_id;at': where ';' stands"),
        ("user_id,at\nu1,20260105\n", "at", "row 2: at: looks like a date: write 2026-10-05"),
        ("user_id,at\nu1,1760000000000000\n", "at", "row 2: at: looks like microseconds"),
        (
            "user_id,at\nu1,2026-01-01T10:00:00Z\nu1,2026-01-01T10:00:00\n",
            "at",
            "row 3: at: names no time zone, as others do: write it, say 2026-10-05T10:00:00Z, got ",
        ),
        (
            "user_id,at,lat\nu1,1,48.8\nu1,1,\nu1,1,north\n",
            "at",
            "row 4: lat: expected degrees north, a number: leave it empty (null) where none",
        ),
        ("user_id,at,hour\nu1,1,1\n", "at", "column 'hour': a feature has that name; rename it"),
        *(
            (
                f"user_id,at,paid\nu1,1,1.5\nu1,1,{odd}\n",
                "at",
                f"row 3: paid: {FINITE}, got {float(odd)}",
            )
            for odd in ("NaN", "-inf", " Infinity ")
        ),
    ],
)
def test_labels_that_cannot_be_are_told(
    tmp_path: Path, text: str, as_of: str, expected: str
) -> None:
    """Each with what was there and what was expected."""
    path = tmp_path / "labels.csv"
    path.write_text(text)
    told = run(tmp_path, "--labels", str(path), "--as-of", as_of, "--out", str(tmp_path / "o"))
    assert told.exit_code == 2, told.output
    assert expected in told.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--labels", "nowhere.csv", "--as-of", "at", "--out", "o"], "nowhere.csv"),
        (["--labels", "select x from events", "--as-of", "x", "--out", "o"], "cannot be run: "),
        (
            ["--labels", " ", "--as-of", "x", "--out", "o"],
            "expected a file or a query, got nothing",
        ),
        (
            ["--labels", "select 1 from event", "--as-of", "x", "--out", "o"],
            "are events, items, us",
        ),
        (
            ["--labels", f"selct {'x' * 5_000}", "--as-of", "x", "--out", "o"],
            "as a query it must begin with select or with, not 'selct' (did you mean select?)",
        ),
        (["--labels", "my labels.csv", "--as-of", "x", "--out", "o"], "not 'my'; as a file it is"),
        (["--labels", "select 1 from nowhere", "--as-of", "x", "--out", "o"], "cannot be run: "),
        (
            ["--labels", "select * from events where user_id = 'x'", "--as-of", "x", "--out", "o"],
            "the query: no rows",
        ),
        *(
            (["--labels", query, "--as-of", "at", "--out", "o"], "the query: LIMIT or OFFSET takes")
            for query in (
                "select user_id, arrived_at as at from events order by at limit 5",
                "select user_id, at from (select user_id, 1 as at from events limit 5) t",
                "select user_id, arrived_at as at from events offset 5",
            )
        ),
        (["--labels", "x", "--as-of", "x", "--out", "nowhere/o"], "there is no directory nowhere"),
        (["--labels", "./x.csv", "--as-of", "x", "--out", "x.csv"], "x.csv holds the labels"),
        (["--labels", "x.zip!a.csv", "--as-of", "x", "--out", "x.zip"], "x.zip holds the labels"),
    ],
)
def test_a_command_that_cannot_be_is_told(tmp_path: Path, words: list[str], expected: str) -> None:
    """In a line, without a traceback."""
    told = run(tmp_path, *words)
    assert told.exit_code == 2
    assert expected in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_number_of_a_table_that_is_none_is_told(
    store: OfflineStore, tmp_path: Path, odd: float
) -> None:
    """In a Parquet file as in a query; null is kept as it is, and a moment of tomorrow may be."""
    path = tmp_path / "labels.parquet"
    rows = {"user_id": ["u1", "u2"], "at": [1.0, 86_400.0], "paid": [None, 2.0]}
    pl.DataFrame(rows).write_parquet(path)
    assert read_labels(store, str(path), "at", lambda: 1.0).rows["paid"].to_list() == [None, 2.0]
    pl.DataFrame(rows | {"paid": [None, odd]}).write_parquet(path)
    with pytest.raises(InputError, match=rf"{path}: row 2: paid: .*, got {odd}"):
        read_labels(store, str(path), "at")
    query = "select user_id, arrived_at as at, value / 0.0 as paid from events"
    with pytest.raises(InputError, match=r"the query: row 1: paid: expected a number that is fin"):
        read_labels(store, query, "at")


def test_ids_that_are_numbers_are_whole(store: OfflineStore, tmp_path: Path) -> None:
    """As in the files that were ingested: 7.0 is shopper 7, and 1.5 is nobody."""
    path = tmp_path / "labels.parquet"
    pl.DataFrame({"user_id": [7.0], "at": [1.0]}).write_parquet(path)
    assert read_labels(store, str(path), "at").rows["user_id"].to_list() == ["7"]
    pl.DataFrame({"user_id": [7.0, 1.5], "at": [1.0, 1.0]}).write_parquet(path)
    with pytest.raises(InputError, match=r"row 2: user_id: expected a shopper's id, got 1\.5"):
        read_labels(store, str(path), "at")


def test_many_mistakes_are_told_up_to_a_number(store: OfflineStore, tmp_path: Path) -> None:
    """And how many more there are."""
    path = tmp_path / "labels.csv"
    path.write_text("user_id,at\n" + "u1,never\n" * (MOST_TOLD + 5))
    with pytest.raises(Exception, match="row 2: at: ") as refused:
        read_labels(store, str(path), "at")
    assert len(str(refused.value).splitlines()) == MOST_TOLD + 1
    assert str(refused.value).endswith("and 5 more")


def test_what_fails_half_way_leaves_what_was_there(
    store: OfflineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of before, and nothing beside it."""
    monkeypatch.setattr(features.training.training_set, "CHUNK", 10)
    path = tmp_path / "sets" / "set.parquet"
    path.parent.mkdir()
    path.write_text("before")
    given = labels(np.random.default_rng(3), 30, 10)
    real, done = joined, 0

    def failing(*arguments: Any) -> Any:
        nonlocal done
        done += 1
        if done > 1:
            raise MemoryError
        return real(*arguments)

    monkeypatch.setattr(features.training.part, "joined", failing)
    with pytest.raises(MemoryError):
        write_training_set(store, given, path)
    assert path.read_text() == "before"
    assert list(path.parent.iterdir()) == [path]


def test_labels_with_leading_zeros_stay_texts(store: OfflineStore, tmp_path: Path) -> None:
    """They are codes; whole numbers, numbers and truths of a CSV get their types."""
    path = tmp_path / "labels.csv"
    path.write_text("user_id,at,code,n,x,yes\nu1,1,01234,1,1.5,true\nu2,2,00001,2,2,False\n")

    told = read_labels(store, str(path), "at").rows

    assert told.schema == {
        "user_id": pl.String,
        "at": pl.Int64,
        "code": pl.String,
        "n": pl.Int64,
        "x": pl.Float64,
        "yes": pl.Boolean,
    }
    assert told["code"].to_list() == ["01234", "00001"]
    assert told["yes"].to_list() == [True, False]
