"""Datasets: versions that never change, that are made again to the byte, and that say what of."""

import json
import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from features.datasets.dataset import DATA, MANIFEST, Declaration, Reference
from features.datasets.datasets import Datasets
from features.datasets.lineage import picture
from features.declared import FEATURE_NAMES, FEATURE_SET
from features.errors import EngineError, InputError
from features.offline.store import OfflineStore
from features.stream.archive import events_table
from features.training.chunk import Chunk
from features.training.labels import Labels
from tests.support.purchases import NOW_MS, PURCHASES, QUERY, purchases, run


def test_a_dataset_says_what_it_is(datasets: Datasets) -> None:
    """Declaration, sources with checksums, schema, statistics, and where it lies."""
    told = datasets.create("paid", PURCHASES)
    assert (told.name, told.version, told.rows) == ("paid", 1, 30)
    assert told.features == FEATURE_SET.schema_hash
    assert told.tables == "events@0,items@-,users@-"
    (source,) = told.sources
    assert (source.kind, source.name, source.version) == ("table", "events", 0)
    assert list(told.schema) == ["user_id", "at", "paid", *FEATURE_NAMES]
    assert told.statistics["paid"] == {
        "nulls": 0, "distinct": 1, "min": 2.5, "max": 2.5, "mean": 2.5, "std": 0.0
    }  # fmt: skip
    assert told.statistics["user_id"] == {"nulls": 0, "distinct": 3}
    assert len(pl.read_parquet(datasets.path(Reference("paid")))) == 30
    assert datasets.get(Reference("paid", 1)) == told


def test_versions_stay_as_they_are(datasets: Datasets, store: OfflineStore) -> None:
    """New events make the next one another; the one before is the same, and can be made again."""
    first = datasets.create("paid", PURCHASES)
    store.append_events(events_table(purchases(30, 5)))
    second = datasets.create("paid", PURCHASES)
    assert (second.version, second.rows) == (2, 35)
    assert datasets.versions("paid") == [1, 2]
    assert datasets.get(Reference("paid")) == second
    for told in (first, second):
        assert datasets.rebuilt(told.reference) == (told, told.checksum)


def test_the_same_declaration_builds_the_same_bytes(datasets: Datasets) -> None:
    """Of the same tables, whatever it is called."""
    one, other = datasets.create("one", PURCHASES), datasets.create("other", PURCHASES)
    assert one.checksum == other.checksum
    assert one.statistics == other.statistics


def test_a_dataset_of_a_file_knows_the_file(datasets: Datasets, tmp_path: Path) -> None:
    """A file that was changed is no source to make it again of."""
    path = tmp_path / "labels.csv"
    path.write_text(f"user_id,at\nu1,{NOW_MS // 1_000 + 600}\n")
    told = datasets.create("file", Declaration(str(path), "at", mask=True))
    assert [each.kind for each in told.sources] == ["file", "table"]
    assert "avg_rating__missing" in told.schema
    assert datasets.rebuilt(told.reference) == (told, told.checksum)
    path.write_text(f"user_id,at\nu2,{NOW_MS // 1_000}\n")
    with pytest.raises(InputError, match=r"labels\.csv is not what it was"):
        datasets.rebuilt(told.reference)


def test_other_features_cannot_be_made_again(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program must compute what it did."""
    told = datasets.create("paid", PURCHASES)
    monkeypatch.setattr("features.datasets.datasets.FEATURE_SET", type(FEATURE_SET)(()))
    with pytest.raises(InputError, match=r"features of schema .* create the next version"):
        datasets.rebuilt(told.reference)


def test_lineage_goes_all_the_way_back(datasets: Datasets, tmp_path: Path) -> None:
    """A dataset of a dataset of tables: each once, as OpenLineage events and as a picture."""
    first = datasets.create("paid", PURCHASES)
    second = datasets.create("again", Declaration("paid@1", "at"))
    assert second.schema == first.schema
    assert list(datasets.lineage(Reference("again"))) == [second, first]

    shown = run(tmp_path, "lineage", "again").stdout.splitlines()
    of_tables = [first.sources[0].checksum[:12]]
    assert [line.split() for line in shown[1:]] == [
        ["again@1", "dataset", "paid@1", first.checksum[:12], "at"],
        ["table", "events@0", *of_tables],
        ["paid@1", "table", "events@0", *of_tables, "at"],
    ]

    told = run(tmp_path, "lineage", "again", "--json", "--svg", str(tmp_path / "lineage.svg"))
    events = json.loads(told.stdout)
    assert [each["outputs"][0]["name"] for each in events] == ["dataset again", "dataset paid"]
    inputs = {each["name"]: each["facets"]["version"] for each in events[0]["inputs"]}
    assert inputs["dataset paid"]["datasetVersion"] == "1"
    assert events[0]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 30
    fields = events[1]["outputs"][0]["facets"]["schema"]["fields"]
    assert {"name": "user_id", "type": "String"} in fields
    required = {"eventType", "eventTime", "run", "job", "producer", "schemaURL"}
    assert all(required <= each.keys() for each in events)

    drawn = ET.parse(tmp_path / "lineage.svg").getroot()
    titles = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(map(str, titles)) == ["dataset again@1", "dataset paid@1", "table events@0"]
    ways = [each.attrib["d"] for each in drawn.iter("{http://www.w3.org/2000/svg}path")]
    assert len(ways) == 3
    # The table is drawn beside the dataset of a dataset, too, and below the box between them.
    (around,) = (way for way in ways if " L" in way)
    boxes = [each.attrib for each in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    bottom = max(int(box["y"]) + int(box["height"]) for box in boxes)
    lane = int(around.partition(" L")[2].split()[1])
    assert bottom < lane < int(drawn.attrib["height"])


def test_a_long_name_is_drawn_by_its_kind_and_its_end(datasets: Datasets, tmp_path: Path) -> None:
    """Of a file the name, not the directory; the whole is told where one points at it."""
    path = tmp_path / "labels-of-october.csv"
    path.write_text("user_id,at\nu1,1760000000\n")
    drawn = picture([datasets.create("paid", Declaration(str(path), "at"))])
    (told,) = (each for each in re.findall("<text[^>]*>([^<]*)", drawn) if "file" in each)
    assert told.startswith("file …")
    assert told.endswith("labels-of-october.csv")
    assert len(told) == 30
    assert f"<title>file {path}</title>" in drawn


def test_the_commands(datasets: Datasets, store: OfflineStore, tmp_path: Path) -> None:
    """Create, list, show, diff, verify: as a user would."""
    told = run(tmp_path, "create", "paid", "--labels", QUERY, "--as-of", "at")
    assert told.stdout.startswith("paid@1: 30 rows, 24 columns, "), told.output
    store.append_events(events_table(purchases(30, 5)))
    assert run(tmp_path, "create", "paid", "--labels", QUERY, "--as-of", "at").exit_code == 0
    listed = run(tmp_path, "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["paid@1", "paid@2"]
    shown = json.loads(run(tmp_path, "show", "paid@1", "--json").stdout)
    assert (shown["rows"], shown["path"]) == (30, str(datasets.path(Reference("paid", 1))))
    lines = run(tmp_path, "diff", "paid@1", "paid@2").stdout.splitlines()
    assert lines[0] == "paid@1 → paid@2"
    assert "  rows: 30 → 35" in lines
    assert "  tables: events@0,items@-,users@- → events@1,items@-,users@-" in lines
    assert any(line.startswith("  source table events: ") for line in lines)
    assert run(tmp_path, "verify", "paid@1").stdout == "paid@1: the same\n"
    again = ("--labels", "paid@1", "--as-of", "at", "--mask")
    assert run(tmp_path, "create", "again", *again).exit_code == 0
    lines = run(tmp_path, "diff", "paid@1", "again@1").stdout.splitlines()
    assert lines[1:3] == [
        f"  declared labels: {QUERY} → paid@1",
        "  declared mask: False → True",
    ]


def test_a_version_is_shown_in_short(datasets: Datasets, tmp_path: Path) -> None:
    """What it is, and a line for each column; equal versions are said to be equal."""
    told = datasets.create("paid", PURCHASES)
    datasets.create("paid", PURCHASES)

    about, _, columns = run(tmp_path, "show", "paid@1").stdout.partition("\n\n")

    lines = dict(line.split(maxsplit=1) for line in about.replace("as of", "as_of").splitlines())
    assert lines["rows"].startswith("30, ")
    assert (lines["labels"], lines["as_of"]) == (QUERY, "at")
    assert lines["checksum"] == told.checksum
    assert lines["made"] == "of   table events@0"
    assert len(columns.splitlines()) == 1 + len(told.schema)
    assert columns.splitlines()[3].split() == ["paid", "Float64", "0", "1", "2.5", "2.5", "2.5"]
    equal = f"paid@1 and paid@2 are equal: checksum {told.checksum[:12]}\n"
    assert run(tmp_path, "diff", "paid@1", "paid@2").stdout == equal


def test_data_that_were_changed_are_found(datasets: Datasets, tmp_path: Path) -> None:
    """What is made anew has another checksum than the description says."""
    told = datasets.create("paid", PURCHASES)
    path = datasets.path(told.reference).with_name(MANIFEST)
    path.write_text(path.read_text().replace(told.checksum, "0" * 64))
    done = run(tmp_path, "verify", "paid")
    assert done.exit_code == 1
    assert done.stdout == f"paid@1: differs: {told.checksum}\n"


def test_data_that_were_written_over_are_found(datasets: Datasets, tmp_path: Path) -> None:
    """Whether they are verified, or another dataset is to be made of them."""
    told = datasets.create("paid", PURCHASES)
    frame = pl.read_parquet(datasets.path(told.reference))
    frame.head(3).write_parquet(datasets.path(told.reference))
    done = run(tmp_path, "verify", "paid")
    assert (done.exit_code, done.stdout.partition(":")[0]) == (1, "paid@1")
    with pytest.raises(InputError, match="the data of paid@1 were changed"):
        datasets.create("more", Declaration("paid@1", "at"))


@pytest.mark.parametrize(
    "query",
    [
        "select user_id, max(arrived_at) as at, count(*) as n from events group by user_id",
        "select user_id, 1 as at, event_id from events order by user_id",
        "select user_id, 1 as at, row_number() over (order by event_id) as n from events",
        "select user_id, 1 as at from (select distinct user_id from events order by 1) t",
    ],
)
def test_a_query_builds_the_same_bytes(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """However its rows come out of the tables, and wherever it orders them."""
    told = datasets.create("counted", Declaration(query, "at"))
    collect = pl.LazyFrame.collect

    def shuffled(frame: pl.LazyFrame, **options: Any) -> Any:
        rows: Any = collect(frame, **options)
        return rows.sample(fraction=1, shuffle=True) if "at" in rows.columns else rows

    monkeypatch.setattr(pl.LazyFrame, "collect", shuffled)
    for _ in range(2):
        assert datasets.rebuilt(told.reference) == (told, told.checksum)


def test_labels_that_are_others_are_told(datasets: Datasets, tmp_path: Path) -> None:
    """Apart from features that are; a version of before labels had a checksum has none."""
    told = datasets.create("paid", PURCHASES)
    assert told.labels is not None
    path = datasets.path(told.reference).with_name(MANIFEST)
    path.write_text(path.read_text().replace(told.labels, "0" * 64))
    done = run(tmp_path, "verify", "paid")
    assert done.exit_code == 2
    assert done.stderr == "error: dataset: paid@1: the labels are others than they were\n"
    path.write_text(replace(told, labels=None).to_json())
    assert run(tmp_path, "verify", "paid").stdout == "paid@1: the same\n"


def test_an_engine_that_fails_leaves_nothing(datasets: Datasets, tmp_path: Path) -> None:
    """No directory that looks like a dataset."""

    def failing(store: OfflineStore, labels: Labels, rows: int) -> Generator[Chunk]:
        yield from ()
        raise EngineError(f"{store.version()}: {len(labels)} of {rows}")

    with pytest.raises(EngineError):
        datasets.create("paid", PURCHASES, failing)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_sources_that_are_gone_are_told(
    datasets: Datasets, store: OfflineStore, tmp_path: Path
) -> None:
    """After the files of an earlier version were removed it cannot be made again."""
    told = datasets.create("paid", PURCHASES)
    store.append_events(events_table(purchases(30, 5)))
    store.tidy(timedelta(0))
    done = run(tmp_path, "verify", str(told.reference))
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "nothing"], "dataset: there is no 'nothing'; there are: paid"),
        (["show", "paid@7"], "dataset: paid has no version 7, it has 1"),
        (["show", "../x"], "dataset: expected NAME or NAME@VERSION"),
        (["create", "paid@3", "--labels", QUERY, "--as-of", "at"], "expected NAME, without"),
        (["create", "A b", "--labels", QUERY, "--as-of", "at"], "dataset: expected NAME"),
        (["create", "x", "--labels", "nope@1", "--as-of", "at"], "there is no 'nope'"),
        (["create", "x", "--labels", "paid", "--as-of", "at"], "name a version of it, paid@1"),
        (["create", "x", "--labels", "select 1", "--as-of", "at"], "no column 'user_id'"),
        (
            ["create", "x", "--labels", "selct user_id from events -- a@b", "--as-of", "at"],
            "must begin with select or with, not 'selct' (did you mean select?); as a file it is",
        ),
    ],
)
def test_what_cannot_be_is_told(
    datasets: Datasets, tmp_path: Path, words: list[str], expected: str
) -> None:
    """In a line; nothing is left of it."""
    datasets.create("paid", PURCHASES)
    told = run(tmp_path, *words)
    assert told.exit_code == 2
    assert expected in told.stderr
    assert datasets.names() == ["paid"]
    left = {path.name for path in (tmp_path / "datasets").rglob("[!.]*") if path.is_file()}
    assert left == {DATA, MANIFEST}


def test_a_description_that_cannot_be_read_is_told(datasets: Datasets, tmp_path: Path) -> None:
    """With its path."""
    told = datasets.create("paid", PURCHASES)
    path = datasets.path(told.reference).with_name(MANIFEST)
    path.write_text("{}")
    assert str(path) in run(tmp_path, "show", "paid").stderr


def test_a_store_at_a_version_is_as_it_was(store: OfflineStore) -> None:
    """And only a version is one."""
    store.append_events(events_table(purchases(30, 5)))
    assert store.at("events@0,items@-,users@-").count("events") == 30
    assert store.at("events@1,items@-,users@-").count("events") == 35
    for version in ("", "events@0", "events@x,items@-,users@-"):
        with pytest.raises(InputError, match="expected events@N"):
            store.at(version)


def test_versions_made_at_once_are_all_there(datasets: Datasets) -> None:
    """Each gets a number of its own."""
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: datasets.create("paid", PURCHASES), range(8)))

    assert sorted(each.version for each in made) == datasets.versions("paid") == list(range(1, 9))
    assert len({each.checksum for each in made}) == 1


def test_a_file_is_found_again_from_elsewhere(
    datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be named as it lies below the present directory."""
    (tmp_path / "labels.csv").write_text("user_id,at\nu1,1760000300\n")
    monkeypatch.chdir(tmp_path)
    told = datasets.create("rows", Declaration("labels.csv", "at"))
    monkeypatch.chdir("/")

    assert datasets.rebuilt(told.reference)[1] == told.checksum


def test_a_version_can_be_deleted(datasets: Datasets, tmp_path: Path) -> None:
    """Its number is not used again, and nothing is deleted that another is made of."""
    for _ in range(2):
        datasets.create("paid", PURCHASES)
    assert run(tmp_path, "delete", "paid@2").stdout == "paid@2: deleted\n"

    assert datasets.versions("paid") == [1]
    assert datasets.create("paid", PURCHASES).version == 3
    datasets.create("more", Declaration("paid@1", "at"))
    told = run(tmp_path, "delete", "paid@1")
    assert (told.exit_code, told.stderr) == (2, "error: dataset: more@1 is made of paid@1\n")
    assert "expected NAME@VERSION, got 'paid'" in run(tmp_path, "delete", "paid").stderr


def test_who_is_in_which_dataset(datasets: Datasets, tmp_path: Path) -> None:
    """So that those of a shopper who was forgotten can be deleted."""
    datasets.create("paid", PURCHASES)
    one = "select user_id, arrived_at as at from events where user_id = 'u1'"
    datasets.create("one", Declaration(one, "at"))

    assert [line.split()[0] for line in run(tmp_path, "list", "--user", "u1").stdout.splitlines()]
    assert [str(each.reference) for each in datasets.holding("u1")] == ["one@1", "paid@1"]
    assert [str(each.reference) for each in datasets.holding("u2")] == ["paid@1"]
    assert datasets.holding("nobody") == []
    assert run(tmp_path, "list", "--user", "nobody").stdout == "no dataset has rows of nobody\n"
