"""Files in: every row checked, all or nothing, and the same file twice changes nothing."""

import gzip
import json
import os
import subprocess
import sys
import zipfile
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

import features.ingest.ingest
from features.__main__ import cli
from features.erasure import Erasure
from features.errors import InputError
from features.events import Event, EventType, event_tag
from features.identity.forgotten import ForgottenList
from features.ingest.ingest import Ingested, find_inputs, ingest
from features.ingest.mapping import parse_mapping
from features.offline.staged import Committed, StagedBatch
from features.offline.store import OfflineStore
from features.progress import Bar, progress
from features.quality.gatekeeper import Gatekeeper
from features.quality.refusals import Refusal, RefusedError, as_text
from features.quality.rules import rules_in_force

ITEMS = "item_id,category,price,in_stock,grape,abv\ni1,Red,9.5,true,Merlot,13\ni2,White,,,,12.5\n"
HEADER = "event_id,type,user_id,item_id,timestamp,value\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a directory with two items and two events."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "items.csv").write_text(ITEMS)
    (folder / "events.csv").write_text(
        f"{HEADER}e1,click,u1,i1,1760000000,\ne2,rating,u1,i2,2025-10-09T08:53:20Z,4.5\n"
    )
    return folder


def take(
    data: Path, home: Path, mapping: dict[str, Any] | None = None, *, limit: int = 100
) -> Ingested:
    """Ingest a directory."""
    inputs = find_inputs(data, parse_mapping(mapping or {}), {})
    gatekeeper = Gatekeeper(home, rules_in_force())
    return ingest(home, inputs, gatekeeper, max_refused=limit)


def refused(data: Path, home: Path, *rows: str) -> list[tuple[int, str, str, str]]:
    """Return what is refused of these event rows."""
    (data / "events.csv").write_text(HEADER + "\n".join(rows) + "\n")
    try:
        told = take(data, home).refused
    except RefusedError as error:
        told = error.refusals
    return [(each.row, each.column, each.value, each.why) for each in told]


def test_a_directory_is_taken_in_by_its_own_names(data: Path, tmp_path: Path) -> None:
    """Schema columns need no mapping; other columns of items become attributes."""
    result = take(data, tmp_path)

    assert (result.committed.items, result.committed.events.accepted, result.refused) == (2, 2, ())
    store = OfflineStore(tmp_path)
    catalogue = store.catalogue()
    assert catalogue.in_stock.tolist() == [True, True]
    assert catalogue.price[0] == 9.5
    assert catalogue.attributes["abv"].tolist() == [13.0, 12.5]
    assert catalogue.attributes["grape"].tolist() == ["Merlot", ""]
    rows = store.scan("events").sort("event_id").collect().to_dicts()
    assert [row["timestamp"] for row in rows] == [datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)] * 2
    assert [row["arrived_at"] for row in rows] == [row["timestamp"] for row in rows]
    assert store.event_log().of(0)["tag"].tolist() == sorted(
        [event_tag("e1", EventType.CLICK), event_tag("e2", EventType.RATING)]
    )


def test_the_same_files_twice_change_nothing(data: Path, tmp_path: Path) -> None:
    """No table gets a new version, with ids given or derived, and no staging is left."""
    (data / "users.csv").write_text("user_id,country,age\nu1,FR,41\n")
    take(data, tmp_path)
    before = OfflineStore(tmp_path).version()
    again = take(data, tmp_path).committed

    assert (again.items, again.users, again.events.accepted, again.events.duplicates) == (
        0,
        0,
        0,
        2,
    )
    assert OfflineStore(tmp_path).version() == before == "events@0,items@0,users@0"
    assert OfflineStore(tmp_path).event_log().profiles == {"u1": {"country": "FR", "age": 41.0}}
    assert not list((tmp_path / "offline").glob(".staged-*"))


def test_events_without_ids_get_stable_ones(data: Path, tmp_path: Path) -> None:
    """The id comes from what the event says, not from where it stands in the file."""
    rows = ["click,u1,i1,1760000000,", "click,u1,i1,1760000001,", "purchase,u1,i1,1760000000,3"]
    header = HEADER.removeprefix("event_id,")
    (data / "events.csv").write_text(header + "\n".join(rows))
    assert take(data, tmp_path).committed.events.accepted == 3

    (data / "events.csv").write_text(header + "\n".join([*reversed(rows), rows[0]]))
    again = take(data, tmp_path).committed.events
    assert (again.accepted, again.duplicates) == (0, 4)
    ids = OfflineStore(tmp_path).scan("events").collect()["event_id"].to_list()
    assert len(set(ids)) == len(ids) == 3


@pytest.mark.parametrize(
    ("row", "column", "value", "why"),
    [
        (",click,u1,i1,1760000000,", "event_id", "", "required"),
        ("x,,u1,i1,1760000000,", "type", "", "required"),
        ("x,klick,u1,i1,1760000000,", "type", "klick", "expected one of impression"),
        ("x,click,,i1,1760000000,", "user_id", "", "required"),
        (f"x,click,{'u' * 129},i1,1760000000,", "user_id", "u" * 129, "1 to 128 characters"),
        ("x,click,u\x0b1,i1,1760000000,", "user_id", "u\x0b1", "no control characters"),
        ("x,click,u1,,1760000000,", "item_id", "", "required but for sessions"),
        ("x,click,u1,i9,1760000000,", "item_id", "i9", "no such item"),
        ("x,click,u1,i1,,", "timestamp", "", "required"),
        ("x,click,u1,i1,yesterday,", "timestamp", "yesterday", "seconds since 1970 or ISO 8601"),
        ("x,click,u1,i1,nan,", "timestamp", "nan", "between 1970 and 2100"),
        ("x,click,u1,i1,-1,", "timestamp", "-1", "between 1970 and 2100"),
        ("x,click,u1,i1,4102444801,", "timestamp", "4102444801", "between 1970 and 2100"),
        ("x,click,u1,i1,2125-01-01,", "timestamp", "2125-01-01", "between 1970 and 2100"),
        ("x,click,u1,i1,1760000000000,", "timestamp", "1760000000000", "looks like milliseconds"),
        ("x,click,u1,i1,1760000000000000,", "timestamp", "1760000000000000", "microseconds"),
        ("x,rating,u1,i1,1760000000,", "value", "", "a rating needs a value"),
        ("x,click,u1,i1,1760000000,two", "value", "two", "expected a number"),
        ("x,purchase,u1,i1,1760000000,-1", "value", "-1", "number from 0 to 21,474,836.47"),
        ("x,purchase,u1,i1,1760000000,21474836.48", "value", "21474836.48", "number from 0"),
        ("x,purchase,u1,i1,1760000000,inf", "value", "inf", "number from 0"),
        ("x,purchase,u1,i1,1760000000,NaN", "value", "NaN", "number from 0"),
    ],
)
def test_a_bad_row_is_named_and_the_good_ones_taken(
    data: Path, tmp_path: Path, row: str, column: str, value: str, why: str
) -> None:
    """Row, column, value and reason are reported; rows around it are written."""
    good = ["a,session,u1,,1760000000,30", "b,purchase,ü,i1,0,0"]

    ((number, *where, reason),) = refused(data, tmp_path, good[0], row, good[1])

    assert (number, *where) == (3, column, value)
    assert why in reason
    assert OfflineStore(tmp_path).scan("events").collect()["event_id"].to_list() == ["a", "b"]


def test_an_event_of_the_future_is_refused(data: Path, tmp_path: Path) -> None:
    """It would arrive in the future too; up to a day ahead clocks and zones may differ."""
    at = int(datetime.now(UTC).timestamp())

    told = refused(
        data, tmp_path, f"a,click,u1,i1,{at + 80_000},", f"b,click,u1,i1,{at + 180_000},"
    )

    ((row, column, _, why),) = told
    assert (row, column) == (3, "timestamp")
    assert "more than a day in the future" in why
    assert OfflineStore(tmp_path).scan("events").collect()["event_id"].to_list() == ["a"]


@pytest.mark.parametrize("bad", ["NaN", "inf", "-Infinity"])
def test_an_attribute_of_numbers_that_is_not_finite_is_refused(
    data: Path, tmp_path: Path, bad: str
) -> None:
    """One such cell makes no texts of all the others; among texts it is one."""
    text = "item_id,category,abv,name\n" + f"i1,red,13,{bad}\ni2,red,{bad},x\ni3,red,,y\n"
    (data / "items.csv").write_text(text)
    (data / "events.csv").unlink()

    (told,) = take(data, tmp_path).refused

    assert (told.row, told.column, told.value) == (3, "abv", bad)
    assert "finite" in told.why
    attributes = OfflineStore(tmp_path).scan("items").sort("item_id").collect()["attributes"]
    assert [json.loads(each) for each in attributes] == [
        {"abv": 13.0, "name": bad},
        {"abv": None, "name": "y"},
    ]


def test_rows_with_too_many_cells_are_refused(data: Path, tmp_path: Path) -> None:
    """A torn line is one refusal, and the next row keeps its number."""
    found = refused(data, tmp_path, "a,click", "b,klick,u1,i1,1760000000,")

    assert [each[0] for each in found] == [2, 3]
    assert found[0][3] == "expected 6 columns, got 2"


def test_too_many_bad_rows_write_nothing(data: Path, tmp_path: Path) -> None:
    """One more than the limit stops everything, items included; at the limit the rest is taken."""
    bad = "x,klick,u1,i1,1760000000,\n"
    (data / "events.csv").write_text(f"{HEADER}a,click,u1,i1,1760000000,\n{bad * 3}")

    with pytest.raises(RefusedError) as caught:
        take(data, tmp_path, limit=2)

    assert [each.row for each in caught.value.refusals] == [3, 4]
    assert OfflineStore(tmp_path).version() == "events@-,items@-,users@-"
    assert len(take(data, tmp_path, limit=3).refused) == 3
    assert OfflineStore(tmp_path).count("events") == 1


def test_a_truncated_file_writes_nothing(data: Path, tmp_path: Path) -> None:
    """Items that came before a damaged events file are not written either."""
    (data / "events.csv").unlink()
    body = "".join(f"e{n},click,u{n * 7919},i1,{1_700_000_000 + n},\n" for n in range(30_000))
    whole = gzip.compress((HEADER + body).encode())
    (data / "events.csv.gz").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(InputError, match=r"events\.csv\.gz: damaged or cut short"):
        take(data, tmp_path)

    assert OfflineStore(tmp_path).version() == "events@-,items@-,users@-"
    assert not list((tmp_path / "offline").glob(".staged-*"))


def test_items_are_checked_too(data: Path, tmp_path: Path) -> None:
    """Price, stock and ids of items follow rules; an id twice is refused the second time."""
    (data / "events.csv").unlink()
    rows = ["a,Red,1,yes", "b,Red,free,yes", "c,Red,1,maybe", "a,White,2,no", "d,,1,0", ",Red,1,0"]
    (data / "items.csv").write_text("item_id,category,price,in_stock\n" + "\n".join(rows))

    found = {(each.row, each.column, each.value) for each in take(data, tmp_path).refused}

    assert found == {
        (3, "price", "free"),
        (4, "in_stock", "maybe"),
        (5, "item_id", "a"),
        (6, "category", ""),
        (7, "item_id", ""),
    }
    assert OfflineStore(tmp_path).catalogue().category.tolist() == ["Red"]


def test_a_misspelt_column_gets_the_nearest_name(data: Path, tmp_path: Path) -> None:
    """Both a mapped and a needed column that is absent are named with a suggestion."""
    with pytest.raises(InputError, match=r"items\.price: there is no 'prise'; .* 'price'"):
        take(data, tmp_path, {"items": {"columns": {"price": "prise"}}})
    with pytest.raises(InputError, match=r"attributes\.g: there is no 'Grapes'; .* 'grape'"):
        take(data, tmp_path, {"items": {"attributes": {"g": "Grapes"}}})
    (data / "items.csv").write_text(ITEMS.replace("item_id", "itemid"))
    with pytest.raises(InputError, match=r"a column for item_id is needed.*'itemid'.*--map items"):
        take(data, tmp_path)


def test_attributes_are_numbers_only_where_all_values_are(data: Path, tmp_path: Path) -> None:
    """A leading zero or one word makes a column text; true and false are 1 and 0."""
    (data / "events.csv").unlink()
    (data / "items.csv").write_text(
        "item_id,category,zip,mixed,organic,empty\na,R,01234,1,true,\nb,R,56789,x,false,\n"
    )
    take(data, tmp_path)

    columns = OfflineStore(tmp_path).catalogue().attributes

    assert columns["zip"].tolist() == ["01234", "56789"]
    assert columns["mixed"].tolist() == ["1", "x"]
    assert columns["organic"].tolist() == [1.0, 0.0]
    assert "empty" not in columns


def again(data: Path, home: Path, cell: str, declared: dict[str, Any] | None = None) -> Ingested:
    """Ingest another item, with `cell` as its strength, after two that have numbers."""
    (data / "events.csv").unlink(missing_ok=True)
    (data / "items.csv").write_text(ITEMS)
    take(data, home)
    (data / "items.csv").write_text(f"item_id,category,abv,grape\ni3,Red,{cell},12\ni4,Red,,\n")
    mapping = {"items": {"attributes": declared}} if declared else {}
    return take(data, home, mapping, limit=1)


def test_numbers_that_become_texts_are_refused(data: Path, tmp_path: Path) -> None:
    """They would make a text of every number there is; digits where texts have been are texts."""
    (told,) = again(data, tmp_path, "strong").refused
    file = str(data / "items.csv")
    assert told == Refusal(file, 2, "abv", "strong", features.ingest.ingest._NUMBER)
    attributes = OfflineStore(tmp_path).catalogue().attributes
    assert attributes["abv"].tolist()[:2] == [13.0, 12.5]

    result = again(data, tmp_path, "12")
    assert not result.refused
    attributes = OfflineStore(tmp_path).catalogue().attributes
    assert attributes["abv"].tolist()[:3] == [13.0, 12.5, 12.0]
    assert attributes["grape"].tolist() == ["Merlot", "", "12", ""]


def test_a_file_of_texts_where_numbers_were_writes_nothing(data: Path, tmp_path: Path) -> None:
    """All rows with one are counted, of items as of shoppers; `kind: text` takes them."""
    (data / "users.csv").write_text("user_id,age\nu1,41\n")
    take(data, tmp_path)
    version = OfflineStore(tmp_path).version()
    (data / "users.csv").write_text("user_id,age\nu1,old\nu2,young\n")

    with pytest.raises(
        RefusedError, match=r"more than 1 rows refused \(--max-errors\): stopped, and"
    ):
        take(data, tmp_path, limit=1)

    assert OfflineStore(tmp_path).version() == version
    declared = {"users": {"attributes": {"age": {"column": "age", "kind": "text"}}}}
    assert not take(data, tmp_path, declared).refused
    assert not take(data, tmp_path).refused  # it has been a text since


@pytest.mark.parametrize("values", [[1, 2], [1.5, None], [True, False]])
def test_typed_numbers_where_texts_were_are_refused(
    data: Path, tmp_path: Path, values: list[object]
) -> None:
    """With file, row, column, value and what to declare; then they are what is declared."""
    take(data, tmp_path)
    version = OfflineStore(tmp_path).version()
    columns: dict[str, Any] = {"item_id": ["i8", "i9"], "category": ["Red"] * 2, "grape": values}

    where = (
        rf"items\.parquet: row 1: grape: expected a text, .*, got {values[0]!r}: declare its kind"
    )
    with pytest.raises(InputError, match=where):
        take_typed(data, tmp_path, "items", **columns)

    assert OfflineStore(tmp_path).version() == version
    declared = {"items": {"attributes": {"grape": {"column": "grape", "kind": "text"}}}}
    take(data, tmp_path, declared)
    assert OfflineStore(tmp_path).catalogue().attributes["grape"].dtype == object


def test_list_literals_become_text(data: Path, tmp_path: Path) -> None:
    """Python lists give their first value or all of them; what is no list is refused."""
    (data / "events.csv").unlink()
    (data / "items.csv").write_text(
        'item_id,category,g\na,R,"[\'Merlot\', ""D\'Or""]"\nb,R,Merlot\nc,R,[]\n'
    )
    columns = {"first": {"column": "g", "list": "first"}, "all": {"column": "g", "list": "joined"}}

    result = take(data, tmp_path, {"items": {"attributes": columns}})

    assert [(each.row, each.column, each.value) for each in result.refused] == [(3, "g", "Merlot")]
    attributes = OfflineStore(tmp_path).catalogue().attributes
    assert attributes["first"].tolist() == ["Merlot", ""]
    assert attributes["all"].tolist() == ["Merlot, D'Or", ""]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ({"unit": "ms"}, "1760000000123"),
        ({}, "1760000000.123"),
        ({}, "2025-10-09 08:53:20.123"),
        ({"zone": "Europe/Paris"}, "2025-10-09T10:53:20.123"),
        ({"zone": "Europe/Paris"}, "2025-10-09T08:53:20.123Z"),
        ({}, "2025-10-09T10:53:20.123+02:00"),
        ({"format": "%d.%m.%Y %H:%M:%S%.3f", "zone": "Asia/Tokyo"}, "09.10.2025 17:53:20.123"),
        ({"format": "%Y%m%d%H%M%S%.3f %z"}, "20251009085320.123 +0000"),
    ],
)
def test_times_are_understood_as_declared(
    data: Path, tmp_path: Path, column: dict[str, str], text: str
) -> None:
    """Units, zones, ISO 8601 and own formats all name the same moment."""
    (data / "events.csv").write_text(f"{HEADER}e,click,u,i1,{text},\n")
    declared = {"events": {"columns": {"timestamp": {"column": "timestamp"} | column}}}

    assert take(data, tmp_path, declared).refused == ()
    stored = OfflineStore(tmp_path).scan("events").collect()["timestamp"].item()
    assert stored == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC) + timedelta(milliseconds=123)


def test_parquet_times_and_integer_ids_are_taken(data: Path, tmp_path: Path) -> None:
    """Typed columns need no text: naive times are in the declared zone."""
    (data / "events.csv").unlink()
    at = datetime(2025, 10, 9, 8, 53, 20)  # noqa: DTZ001 (a Parquet column without a zone)
    pl.DataFrame(
        {
            "event_id": [17],
            "type": ["click"],
            "user_id": [4],
            "item_id": ["i1"],
            "timestamp": [at],
        }
    ).write_parquet(data / "events.parquet")

    assert take(data, tmp_path).refused == ()
    row = OfflineStore(tmp_path).scan("events").collect().to_dicts()[0]
    assert (row["event_id"], row["user_id"], row["timestamp"]) == (
        "17",
        "4",
        at.replace(tzinfo=UTC),
    )


def test_attributes_of_events_become_their_context(data: Path, tmp_path: Path) -> None:
    """Only declared columns are kept, as one JSON object."""
    (data / "events.csv").write_text(
        HEADER.replace("value", "value,vintage,shop") + "e,click,u,i1,0,,1999,x\n"
    )
    declared = {"events": {"attributes": {"vintage": {"column": "vintage", "kind": "number"}}}}
    take(data, tmp_path, declared)

    row = OfflineStore(tmp_path).scan("events").collect().to_dicts()[0]
    assert json.loads(row["context"]) == {"vintage": 1999}


def test_a_context_column_must_hold_objects(data: Path, tmp_path: Path) -> None:
    """Anything but a JSON object is refused."""
    rows = ['a,click,u,i1,0,"{""page"": ""home""}"', "b,click,u,i1,0,[1]", "c,click,u,i1,0,{"]
    (data / "events.csv").write_text(
        "event_id,type,user_id,item_id,timestamp,context\n" + "\n".join(rows)
    )

    assert [each.row for each in take(data, tmp_path).refused] == [3, 4]


def test_events_may_come_after_the_catalogue(data: Path, tmp_path: Path) -> None:
    """Items stored earlier are known; events alone need no items file."""
    take(data, tmp_path)
    (data / "items.csv").unlink()
    (data / "events.csv").write_text(f"{HEADER}n1,click,u,i2,5,\nn2,click,u,i3,5,\n")

    result = take(data, tmp_path)

    assert result.committed.events.accepted == 1
    assert result.refused == (
        Refusal(str(data / "events.csv"), 3, "item_id", "i3", "no such item"),
    )


def run(home: Path, *arguments: str) -> Result:
    """Run `python -m features` in process."""
    return CliRunner().invoke(cli, arguments, env={"CUVEE_HOME": str(home)})


def test_the_command_reports_and_shows(data: Path, tmp_path: Path) -> None:
    """`ingest --data` picks up mapping.yaml, lists refused rows on stderr and ends with 0."""
    (data / "mapping.yaml").write_text("events: {columns: {user_id: who}}")
    text = (data / "events.csv").read_text() + "e3,click,u1,i7,1,\n"
    (data / "events.csv").write_text(text.replace("user_id", "who"))

    result = run(tmp_path, "ingest", "--data", str(data))

    assert result.exit_code == 0
    assert "events    2 new, 0 known already" in result.stdout
    assert "events.csv  item_id  no such item  row 4: 'i7'" in result.stderr
    assert "1 row refused (above), the others taken" in result.stderr
    assert "          named otherwise: user_id is who\n" in result.stdout
    assert "          attributes: grape (text), abv (number)\n" in result.stdout
    shown = json.loads(run(tmp_path, "show", "--json").stdout)
    assert (shown["items"], shown["events"], shown["click"], shown["rating"]) == (2, 2, 1, 1)
    assert shown["first"] == shown["last"] == "2025-10-09T08:53:20+00:00"


def test_a_mistake_ends_with_2_and_no_traceback(data: Path, tmp_path: Path) -> None:
    """The user's mistakes are one line on stderr."""
    for arguments, message in [
        (("ingest",), "no file is named"),
        (("ingest", "--data", f"{data}/x"), "no such directory"),
        (("ingest", "--items", "gone.csv"), "gone.csv: there is no such file"),
        (("ingest", "--data", str(data), "--map", "events.user_id=User"), "did you mean 'user_id'"),
    ]:
        result = run(tmp_path, *arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


def test_whoever_reads_only_the_beginning_is_told_of_no_mistake(data: Path, tmp_path: Path) -> None:
    """A pipe that is closed is none."""
    take(data, tmp_path)
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-u", "-m", "features", "show"],
        env=os.environ | {"CUVEE_HOME": str(tmp_path)},
        stdout=writing, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)

    assert done.stderr == b""


def test_flags_name_files_and_columns(data: Path, tmp_path: Path) -> None:
    """Files and columns can be given without any mapping file."""
    (data / "e.csv").write_text("kind,who,what,when\nclick,u,i1,0\n")
    maps = ["type=kind", "user_id=who", "item_id=what", "timestamp=when"]
    flags = [part for each in maps for part in ("--map", f"events.{each}")]

    result = run(
        tmp_path, "ingest", "--items", f"{data}/items.csv", "--events", f"{data}/e.csv", *flags
    )

    assert result.exit_code == 0, result.stderr
    assert "events    1 new" in result.stdout


def test_too_many_refused_by_the_command(data: Path, tmp_path: Path) -> None:
    """--max-errors 0 refuses everything at the first bad row, with exit code 2."""
    (data / "events.csv").write_text(f"{HEADER}e,click,u,i9,0,\n")

    result = run(tmp_path, "ingest", "--data", str(data), "--max-errors", "0")

    assert result.exit_code == 2
    assert "nothing was written" in result.stderr
    assert OfflineStore(tmp_path).version() == "events@-,items@-,users@-"


def test_the_event_that_is_taken_is_the_event_that_parses(data: Path, tmp_path: Path) -> None:
    """A row with every field equals the event that the HTTP door would have made of it."""
    (data / "events.csv").write_text(
        "event_id,type,user_id,item_id,timestamp,value,recommendation_id,session_id\n"
        "e,purchase,u,i1,1760000000.5,19.99,r,s\n"
    )
    take(data, tmp_path)

    row = (
        OfflineStore(tmp_path).scan("events").drop("arrived_at", "context").collect().to_dicts()[0]
    )
    row |= {"timestamp": row["timestamp"].timestamp(), "type": EventType(row["type"])}
    assert Event(**row) == Event("e", EventType.PURCHASE, "u", 1760000000.5, "i1", 19.99, "r", "s")


def test_an_id_with_other_content_is_refused(data: Path, tmp_path: Path) -> None:
    """Whether the first of the id stands in the file or in the tables; repetitions are dropped."""
    first, other = "e1,click,u1,i1,1760000000,", "e1,click,u2,i1,1760000000,"
    why = (
        "this id stands for an event that says something else: events never change; "
        "leave the row out, or give it an id of its own"
    )

    assert refused(data, tmp_path, first, first, other, "e2,click,u1,i1,1760000000,") == [
        (4, "event_id", "e1", why)
    ]
    assert refused(data, tmp_path, other, "e3,click,u1,i1,1760000000,", first) == [
        (2, "event_id", "e1", why)
    ]
    store = OfflineStore(tmp_path)
    assert store.count("events") == 3
    assert store.event_log().user_ids == ("u1",)


def test_an_id_taken_meanwhile_with_other_content_is_refused(data: Path, tmp_path: Path) -> None:
    """What another ingest writes between check and commit is no repetition of this one's events."""
    other = OfflineStore(tmp_path / "other")
    take(data, tmp_path / "other")
    meanwhile = other.scan("events").with_columns(user_id=pl.lit("u2")).collect().to_arrow()

    class Late(Gatekeeper):
        def batch(
            self, batch: StagedBatch, source: str, refused: tuple[Refusal, ...] = ()
        ) -> Committed:
            OfflineStore(tmp_path).append_events(meanwhile)
            return super().batch(batch, source, refused)

    with pytest.raises(InputError, match="changed meanwhile: of 2 ids it says something else"):
        ingest(tmp_path, find_inputs(data, {}, {}), Late(tmp_path, rules_in_force()))

    assert OfflineStore(tmp_path).event_log().user_ids == ("u2",)


def test_refused_repetitions_are_not_held_against_the_rest(data: Path, tmp_path: Path) -> None:
    """New events beside a refused one are taken, whether the tables or the file hold its first."""
    take(data, tmp_path)
    rows = ["e1,click,u9,i1,1760000000,", "e3,click,u1,i1,5,", "e3,click,u1,i2,5,"]

    assert [each[0] for each in refused(data, tmp_path, *rows)] == [2, 4]
    assert OfflineStore(tmp_path).count("events") == 3


@pytest.mark.parametrize(
    "columns",
    [{"timestamp": [True, False]}, {"value": [True, False], "type": ["rating"] * 2}],
)
def test_truths_are_no_numbers(data: Path, tmp_path: Path, columns: dict[str, Any]) -> None:
    """A Parquet file may hold them where times or stars are expected: no row can be taken."""
    told = {"type": ["click"] * 2, "user_id": ["u1"] * 2, "item_id": ["i1"] * 2}
    rows = pl.DataFrame(told | {"timestamp": [1_760_000_000] * 2} | columns)
    (data / "events.csv").unlink()
    rows.write_parquet(data / "events.parquet")

    with pytest.raises(RefusedError, match="none of its rows can be taken") as caught:
        take(data, tmp_path)

    assert [each.column for each in caught.value.refusals] == [next(iter(columns))] * 2
    assert OfflineStore(tmp_path).is_empty()


TYPED: dict[str, list[Any]] = {
    "event_id": ["e1"],
    "type": ["click"],
    "user_id": ["u1"],
    "item_id": ["i1"],
    "timestamp": [1_760_000_000],
}


def take_typed(data: Path, home: Path, table: str, **columns: Any) -> Ingested:
    """Ingest a Parquet file of events, or items, with columns of other types."""
    (data / "events.csv").unlink()
    told = TYPED if table == "events" else {"item_id": ["i1"], "category": ["Red"]}
    if table == "items":
        (data / "items.csv").unlink()
    mapping = columns.pop("mapping", {})
    pl.DataFrame(told | columns).write_parquet(data / f"{table}.parquet")
    return take(data, home, {table: mapping})


@pytest.mark.parametrize(
    ("table", "column", "value", "expected"),
    [
        ("events", "user_id", ["u"], r"type List\(String\): expected a text or a number$"),
        ("events", "user_id", b"u", "type Binary: expected a text or a number$"),
        ("events", "timestamp", time(12), "type Time: expected a date with time, a text, or"),
        ("events", "timestamp", timedelta(3), "type Duration.*: expected a date with time"),
        ("events", "value", date(2025, 1, 1), "type Date: expected a number$"),
        ("items", "category", ["Red"], r"type List\(String\): expected a text or a number$"),
        ("items", "price", {"eur": 1}, r"type Struct\(.*\): expected a number$"),
        (
            "items",
            "grapes",
            ["Merlot"],
            "type List.*declare `list: first` or `list: joined` for",
        ),
        ("items", "grapes", {"a": 1}, "type Struct.*; list under attributes only those to keep$"),
        ("items", "grapes", b"x", "type Binary.*; list under attributes only those to keep$"),
    ],
)
def test_a_column_of_another_type_is_named(
    data: Path, tmp_path: Path, table: str, column: str, value: object, expected: str
) -> None:
    """File, column and type, what was expected, and for attributes what to declare."""
    where = rf"{table}\.parquet: {table}\.(attributes\.)?{column}: column '{column}' is of "
    with pytest.raises(InputError, match=where + expected):
        take_typed(data, tmp_path, table, **{column: [value]})


def test_lists_of_parquet_become_text_as_declared(data: Path, tmp_path: Path) -> None:
    """As literals in a CSV do."""
    declared = {"one": {"column": "g", "list": "first"}, "all": {"column": "g", "list": "joined"}}
    columns = {"item_id": ["a", "b", "c"], "category": ["Red"] * 3}
    lists = pl.Series([["x", "y"], [], None], dtype=pl.List(pl.String))

    take_typed(data, tmp_path, "items", **columns, g=lists, mapping={"attributes": declared})

    attributes = OfflineStore(tmp_path).catalogue().attributes
    assert attributes["one"].tolist() == ["x", "", ""]
    assert attributes["all"].tolist() == ["x, y", "", ""]


def test_whole_floats_are_ids(data: Path, tmp_path: Path) -> None:
    """A column of whole numbers with gaps often comes as floats; others are no ids."""
    columns = {name: values * 4 for name, values in TYPED.items()}
    columns |= {"event_id": [1.0, 2.0, 3.0, 4.0], "user_id": [7.0, 7.5, float("nan"), 2.0**60]}

    told = take_typed(data, tmp_path, "events", **columns)

    why = "expected a text or a whole number"
    assert [(each.row, each.column, each.why) for each in told.refused] == [
        (row, "user_id", why) for row in (2, 3, 4)
    ]
    (row,) = OfflineStore(tmp_path).scan("events").collect().to_dicts()
    assert (row["event_id"], row["user_id"]) == ("1", "7")


@pytest.mark.parametrize("table", ["items", "events"])
def test_attributes_are_finite(data: Path, tmp_path: Path, table: str) -> None:
    """What is no number, or infinite, is refused rather than forgotten."""
    told = TYPED if table == "events" else {"item_id": ["i1"], "category": ["Red"]}
    columns = {name: values * 4 for name, values in told.items()}
    columns |= {f"{table[:-1]}_id": ["a", "b", "c", "d"]}
    columns["abv"] = [float("nan"), float("inf"), None, 12.5]

    result = take_typed(data, tmp_path, table, **columns, mapping={"attributes": ["abv"]})

    why = "expected a number that is finite, as the others are: leave the cell empty"
    assert [(each.row, each.column, each.why) for each in result.refused] == [
        (row, "abv", why) for row in (1, 2)
    ]


def test_a_decimal_comma_is_no_point(data: Path, tmp_path: Path) -> None:
    """The refusal says what is expected, and what could be declared."""
    ((*_, why),) = refused(data, tmp_path, "a,session,u1,,5,", 'x,rating,u1,i1,5,"4,5"')
    assert why == "expected a number, with a decimal point if any (a comma? declare decimal: ',')"


def test_decimal_commas_are_read_as_declared(data: Path, tmp_path: Path) -> None:
    """Of a table or of a column, of attributes and of seconds too; a point is none then."""
    (data / "items.csv").write_text(
        "item_id;category;price;abv;vintage\ni1;Red;12,50;13,5;2019,0\ni2;Red;7;12;2020\n"
        "i3;Red;1.234,50;12;2020\ni4;Red;9.5;12;2020\n"
    )
    (data / "events.csv").write_text("type,user_id,timestamp,value\nsession,u1,'5,25',60\n")
    text = (data / "events.csv").read_text().replace("'", '"')
    (data / "events.csv").write_text(text)
    declared = {
        "items": {
            "delimiter": ";",
            "decimal": ",",
            "attributes": {
                "abv": {"column": "abv", "kind": "number"},
                "vintage": "vintage",
                "as_is": {"column": "abv", "decimal": "."},
            },
        },
        "events": {"columns": {"timestamp": {"column": "timestamp", "decimal": ","}}},
    }

    told = take(data, tmp_path, declared)

    why = "expected a number, with a decimal comma if any, and no point"
    assert [(each.row, each.value, each.why) for each in told.refused] == [
        (4, "1.234,50", why),
        (5, "9.5", why),
    ]
    catalogue = OfflineStore(tmp_path).catalogue()
    assert catalogue.price.tolist() == [12.5, 7.0]
    assert catalogue.attributes["abv"].tolist() == [13.5, 12.0]
    assert catalogue.attributes["vintage"].tolist() == [2019.0, 2020.0]
    assert catalogue.attributes["as_is"].tolist() == ["13,5", "12"]
    (event,) = OfflineStore(tmp_path).scan("events").collect().to_dicts()
    assert event["timestamp"] == datetime.fromtimestamp(5.25, UTC)


def test_stars_are_scaled_to_five(data: Path, tmp_path: Path) -> None:
    """More than five are refused, with what to declare; prices in cents are scaled likewise."""
    rows = ["x,rating,u1,i1,5,50", "y,rating,u1,i1,6,35", "z,purchase,u1,i1,7,50"]
    why = "expected 0 to 5 stars: declare {column: …, scale: 0.5} for stars of ten"
    assert refused(data, tmp_path / "as they are", *rows) == [
        (2, "value", "50", why),
        (3, "value", "35", why),
    ]
    (data / "items.csv").write_text("item_id,category,price\ni1,Red,1299\n")
    declared = {
        "events": {"columns": {"value": {"column": "value", "scale": 0.1}}},
        "items": {"columns": {"price": {"column": "price", "scale": 0.01}}},
    }

    assert take(data, tmp_path, declared).refused == ()
    values = OfflineStore(tmp_path).scan("events").sort("event_id").collect()["value"]
    assert values.to_list() == [5.0, 3.5, 5.0]
    assert OfflineStore(tmp_path).catalogue().price.tolist() == pytest.approx([12.99])


def test_blanks_at_the_ends_are_no_part_of_anything(data: Path, tmp_path: Path) -> None:
    """As over HTTP: ids meet whoever padded them; what is nothing but blanks is missing."""
    (data / "items.csv").write_text("item_id,category,price\n i1 , Red, 9.5\ni2\u00a0,Red ,\n")
    (data / "users.csv").write_text("user_id,country\n u1, FR\n")
    rows = ["e1 , click, u1 ,i1  , 1760000000 ,", "e2,click,   ,i1,1760000000,"]
    rows.append("e3,rating,u 1,i2 , 2026-01-01 10:00, 4")

    assert refused(data, tmp_path, *rows) == [(3, "user_id", "   ", "required")]

    store = OfflineStore(tmp_path)
    assert store.item_ids().sort().to_list() == ["i1", "i2"]
    assert set(store.scan("items").collect()["category"]) == {"Red"}
    assert store.scan("users").collect().to_dicts()[0]["country"] == "FR"
    found = store.scan("events").select("event_id", "user_id", "item_id").collect().rows()
    assert sorted(found) == [("e1", "u1", "i1"), ("e3", "u 1", "i2")]


def test_equal_refusals_are_summed_up() -> None:
    """A line for each file, column and reason, with the first rows of it."""
    many = [Refusal("e.csv", row, "type", "klick" * 20, "unknown") for row in range(2, 1_202)]
    other = Refusal("e.csv", 9, "", "a,b", "expected 3 columns, got 2")

    title, first, second = as_text([*many, other]).splitlines()

    assert title.split()[:4] == ["rows", "file", "column", "why"]
    told = "; ".join(f"row {row}: {('klick' * 20)[:39] + '…'!r}" for row in (2, 3, 4))
    assert first.split(maxsplit=4) == ["1,200", "e.csv", "type", "unknown", told]
    assert second.endswith("(the line)  expected 3 columns, got 2  row 9: 'a,b'")


def test_events_that_are_all_refused_are_no_success(data: Path, tmp_path: Path) -> None:
    """Not even where each is refused because of what the tables say."""
    first, other = "e1,click,u1,i1,1760000000,", "e1,click,u2,i1,1760000000,"
    assert refused(data, tmp_path, first) == []
    (data / "events.csv").write_text(f"{HEADER}{other}\n")

    with pytest.raises(RefusedError, match=r"events\.csv: none of its rows can be taken"):
        take(data, tmp_path)


def test_what_became_of_columns_is_told(data: Path, tmp_path: Path) -> None:
    """Those of items and shoppers that were not declared are attributes, those of events not."""
    (data / "users.csv").write_text("user_id,country,age,town\nu1,FR,41,Lyon\n")
    (data / "events.csv").write_text(f"{HEADER[:-1]},note,page\ne1,click,u1,i1,1,,x,home\n")
    declared = {"items": {"attributes": {"strength": "abv"}}, "events": {"attributes": ["page"]}}

    told = {each.table: list(each) for each in take(data, tmp_path, declared).columns}

    assert told == {
        "items": ["attributes: strength (number)", "ignored: grape"],
        "users": ["attributes: age (number), town (text)"],
        "events": ["context: page", "ignored: note"],
    }


def test_of_several_files_without_a_good_row_the_first_is_named(data: Path, tmp_path: Path) -> None:
    """In the order of the tables, the same every time."""
    (data / "events.csv").write_text(f"{HEADER}a,klick,u1,i1,5,\n")
    (data / "items.csv").write_text("item_id,category\ni1,\n")
    (data / "users.csv").write_text("user_id\n\x0b\n")

    with pytest.raises(RefusedError, match=r"events\.csv: none of its rows can be taken"):
        take(data, tmp_path)


ZONED, BARE = "2025-10-09T10:00:00+02:00", "2025-10-09 10:00:00"


def test_a_bare_time_beside_zoned_ones_is_refused(data: Path, tmp_path: Path) -> None:
    """Whose clock it is cannot be known; with a zone declared, or beside numbers, it can."""
    rows = [f"e{n},click,u,i1,{at}," for n, at in enumerate([BARE, ZONED, "1760000000", BARE])]
    why = "names no time zone, as others do: declare {column: …, zone: …}"

    assert refused(data, tmp_path, *rows) == [(row, "timestamp", BARE, why) for row in (2, 5)]
    declared = {"events": {"columns": {"timestamp": {"column": "timestamp", "zone": "UTC"}}}}
    assert take(data, tmp_path / "declared", declared).refused == ()
    assert refused(data, tmp_path / "numbers", *rows[:1], *rows[2:]) == []


@pytest.mark.parametrize("first", [BARE, ZONED])
def test_bare_times_are_noticed_batches_apart(data: Path, tmp_path: Path, first: str) -> None:
    """A zone that is named far behind stops everything, as rows before it are wrong."""
    second = ZONED if first is BARE else BARE
    rows = [f"e{n},session,u{n:020},,{first}," for n in range(30_000)]

    if first is ZONED:
        found = refused(data, tmp_path, *rows, f"z,click,u,i1,{second},")
        assert [(row, value) for row, _, value, _ in found] == [(30_002, BARE)]
        return
    with pytest.raises(InputError, match=r"events\.csv: timestamp: row 2 names no time zone"):
        refused(data, tmp_path, *rows, f"z,click,u,i1,{second},")


def test_another_delimiter_is_named(data: Path, tmp_path: Path) -> None:
    """A header that is one column says which sign stands between more of them."""
    (data / "items.csv").write_text("item_id;category\ni1;Red\n")
    with pytest.raises(InputError, match=r"declare delimiter: ';' in the mapping"):
        take(data, tmp_path)
    (data / "items.csv").write_text("item_id,category\ni1,Red\n")
    with pytest.raises(InputError, match=r"declare delimiter: ',' in the mapping"):
        take(data, tmp_path, {"items": {"delimiter": "\t"}})


def test_parquet_that_is_damaged_inside_is_told_in_one_line(data: Path, tmp_path: Path) -> None:
    """Its end may be whole."""
    path = data / "events.parquet"
    (data / "events.csv").unlink()
    pl.DataFrame(TYPED).write_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(60) + whole[64:])

    with pytest.raises(InputError, match=r"^\S*events\.parquet: .*(damaged|cannot be read)[^\n]*$"):
        take(data, tmp_path)


def test_a_column_that_no_row_has_is_told(data: Path, tmp_path: Path) -> None:
    """It may be left out, and it may be misspelt."""
    (data / "items.csv").write_text("item_id,category,prise\ni1,Red,9.5\ni2,White,8\n")

    result = CliRunner(env={"CUVEE_HOME": str(tmp_path)}).invoke(
        cli, ["ingest", "--data", str(data)]
    )

    assert result.exit_code == 0
    assert result.stderr == (
        "items: there is no price; is its column named otherwise? --map items.price=COLUMN\n"
    )
    assert result.stdout.endswith(f"version   events@0,items@0,users@- of {tmp_path}\n")


def test_a_date_without_dashes_is_no_second(data: Path, tmp_path: Path) -> None:
    """It would be a day in 1970; a real second that reads like none is taken."""
    assert refused(data, tmp_path, "e1,click,u1,i1,20261005,", "e2,click,u1,i1,20261399,") == [
        (2, "timestamp", "20261005", "looks like a date: declare {column: …, format: '%Y%m%d'}")
    ]


AT_MS = 1_760_000_000_000
"""When the events of the directory happened."""


def test_rows_of_the_forgotten_are_passed_over(data: Path, tmp_path: Path) -> None:
    """An old export does not bring them back: neither events nor record, and it is told."""
    (data / "users.csv").write_text("user_id,country\nu1,FR\nu2,IT\n")
    with (data / "events.csv").open("a") as file:
        file.write("e3,click,u2,i1,1760000000,\n")
    ForgottenList(tmp_path).add({"u1": AT_MS})

    told = run(tmp_path, "ingest", "--data", str(data))

    assert told.exit_code == 0, told.output
    assert "passed over: 3 rows of forgotten shoppers\n" in told.stderr
    store = OfflineStore(tmp_path)
    assert store.scan("events").collect()["user_id"].to_list() == ["u2"]
    assert store.scan("users").collect()["user_id"].to_list() == ["u2"]
    assert take(data, tmp_path).committed.forgotten == 3
    assert store.version() == "events@0,items@0,users@0"


def test_who_comes_back_is_a_shopper_as_any(data: Path, tmp_path: Path) -> None:
    """By an event after the forgetting: it is taken, and so is the record, at the first time."""
    (data / "users.csv").write_text("user_id,country\nu1,FR\n")
    with (data / "events.csv").open("a") as file:
        file.write("e3,click,u1,i1,1760000000.001,\n")
    ForgottenList(tmp_path).add({"u1": AT_MS})

    told = take(data, tmp_path).committed

    assert (told.users, told.events.accepted, told.forgotten) == (1, 1, 2)
    store = OfflineStore(tmp_path)
    assert store.scan("events").collect()["event_id"].to_list() == ["e3"]
    again = take(data, tmp_path).committed
    assert (again.users, again.events.accepted, again.forgotten) == (0, 0, 2)
    assert store.event_log().profiles == {"u1": {"country": "FR"}}


def test_who_is_forgotten_while_files_are_read_is_passed_over(data: Path, tmp_path: Path) -> None:
    """The list counts at the moment of the commit, not at that of the reading."""

    class Late(Gatekeeper):
        def batch(
            self, batch: StagedBatch, source: str, refused: tuple[Refusal, ...] = ()
        ) -> Committed:
            Erasure(OfflineStore(tmp_path)).forget({"u1": AT_MS})
            return super().batch(batch, source, refused)

    told = ingest(tmp_path, find_inputs(data, {}, {}), Late(tmp_path, rules_in_force()))

    assert told.committed.forgotten == 2
    assert OfflineStore(tmp_path).count("events") == 0


def test_who_is_forgotten_and_not_deleted_yet_is_in_no_log(data: Path, tmp_path: Path) -> None:
    """Training and `materialize` need not wait for the tables."""
    (data / "users.csv").write_text("user_id,country\nu1,FR\nu2,IT\n")
    with (data / "events.csv").open("a") as file:
        file.write("e3,click,u2,i1,1760000000,\n")
    take(data, tmp_path)
    ForgottenList(tmp_path).add({"u1": AT_MS})

    log = OfflineStore(tmp_path).event_log()

    assert log.user_ids == ("u2",)
    assert log.profiles == {"u2": {"country": "IT"}}


def test_what_lies_in_a_directory_is_one_file_each(data: Path) -> None:
    """A directory by the name of a file is not passed over without a word, nor chosen of two."""
    (data / "users.parquet").mkdir()
    with pytest.raises(InputError, match=r"users\.parquet: is a directory: name a file .*--users"):
        find_inputs(data, {}, {})
    (data / "users.csv").write_text("user_id\nu1\n")
    with pytest.raises(InputError, match=r"users\.csv and .*users\.parquet: which one\? .*--users"):
        find_inputs(data, {}, {})
    (data / "users.parquet").rmdir()
    assert find_inputs(data, {}, {})["users"].file == str(data / "users.csv")


def test_a_bar_has_room_beside_the_name_of_its_file(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path, and an archive before its member, leave none on a narrow terminal."""
    with zipfile.ZipFile(data / "export.zip", "w") as archive:
        archive.write(data / "events.csv", "deliveries/october.csv")
    said = list[str]()

    def told(label: str, total: float | None = None) -> AbstractContextManager[Bar]:
        said.append(label)
        return progress(label, total)

    monkeypatch.setattr(features.ingest.ingest, "progress", told)
    take(data, tmp_path, {"events": {"file": "export.zip!deliveries/october.csv"}})
    assert said == ["reading items.csv", "reading october.csv"]
