"""Skew: what was served equals what the tables say, and what does not is named."""

import os
import time
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from features.__main__ import cli
from features.computation.point_in_time import known_at
from features.declared import FEATURE_NAMES, FEATURE_SET
from features.erasure import Erasure
from features.errors import StoreError
from features.events import Event, EventType
from features.moments import Moment
from features.offline.store import OfflineStore
from features.online.stream_entries import Entry
from features.skew import served
from features.skew.served import KEPT_S, SKEW_REPORT, Served, append, read
from features.skew.skew import skew
from features.stream.archive import events_table

NOW_MS = int(time.time() * 1_000) - 600_000


def clicks(user_id: str, *ages_s: float) -> list[Entry]:
    """Return clicks so long before `NOW_MS`."""
    return [
        Entry(
            b"0-1",
            NOW_MS - round(age * 1_000),
            Event(f"{user_id} {age}", EventType.CLICK, user_id, NOW_MS / 1_000, item_id="i1"),
        )
        for age in ages_s
    ]


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return a store of two shoppers."""
    told = OfflineStore(tmp_path)
    told.append_events(events_table([*clicks("ann", 10, 20, 4_000), *clicks("bob", 5)]))
    return told


def as_served(store: OfflineStore, user_id: str, **changes: object) -> Served:
    """Return the features of a shopper as of `NOW_MS`, as the tables tell them, with `changes`."""
    log = store.event_log()
    moment = Moment(NOW_MS, "FR", 4.5)
    told = known_at(log, [log.user_ids.index(user_id)], [moment]).vectors()
    pairs = zip(told.values[0].tolist(), told.missing[0].tolist(), strict=True)
    values = [None if missing else value for value, missing in pairs]
    for name, value in changes.items():
        values[FEATURE_NAMES.index(name)] = value
    return Served(user_id, NOW_MS, NOW_MS, "FR", 4.5, FEATURE_SET.schema_hash, values)


def run(home: Path, *words: str) -> Result:
    """Run `python -m features skew` in a home."""
    return CliRunner().invoke(cli, ["skew", *words], env={"CUVEE_HOME": str(home)})


def test_what_is_equal_does_not_differ(store: OfflineStore) -> None:
    """Missing values are equal, too; a shopper whom the tables do not know has none."""
    stranger = replace(as_served(store, "bob"), user_id="nobody")
    told = skew(store, [as_served(store, "ann"), as_served(store, "bob")])
    assert (told.rows, set(told.ratios.values()), told.examples) == (2, {0.0}, {})
    assert skew(store, [stranger]).ratios["clicks_last_hour"] == 1.0


@pytest.mark.parametrize("value", [3.0, None])
def test_a_feature_that_differs_is_named(store: OfflineStore, value: float | None) -> None:
    """With its share, and an example of both values; no other is."""
    used = [as_served(store, "ann"), as_served(store, "bob", clicks_last_hour=value)]
    told = skew(store, used)
    assert {name for name, ratio in told.ratios.items() if ratio} == {"clicks_last_hour"}
    assert told.ratios["clicks_last_hour"] == 0.5
    example = told.examples["clicks_last_hour"]
    assert (example.user_id, example.served, example.computed) == ("bob", value, 1.0)


def test_what_arrived_after_it_was_served_is_no_skew(store: OfflineStore) -> None:
    """Even where the page's clock was ahead."""
    early = NOW_MS - 8_000
    told = as_served(store, "ann")
    ahead = replace(told, at_ms=early)  # for NOW_MS, but eight seconds before
    store.append_events(events_table(clicks("ann", 3)))
    assert not any(skew(store, [ahead]).ratios.values())
    assert skew(store, [told]).ratios["clicks_last_hour"] == 1.0


def test_other_declarations_are_not_compared(store: OfflineStore) -> None:
    """They are counted."""
    told = skew(store, [replace(as_served(store, "ann"), schema="0"), as_served(store, "bob")])
    assert (told.rows, told.other_schema) == (1, 1)
    assert skew(store, []).ratios == {}


def test_declarations_that_differ_are_named_as_the_cause(
    store: OfflineStore, tmp_path: Path
) -> None:
    """Where all that was served is of other features; what was found before still holds."""
    (tmp_path / SKEW_REPORT).parent.mkdir()
    (tmp_path / SKEW_REPORT).write_text("of before")
    served.append(tmp_path, "1", [replace(as_served(store, "ann"), schema="0")])
    told = run(tmp_path).stdout.strip()
    declarations = "1 of other declarations (CUVEE_FEATURES, another program)"
    assert told == f"0 served vectors compared, {declarations}"
    assert (tmp_path / SKEW_REPORT).read_text() == "of before"


def test_the_command_tells_and_leaves_a_report(store: OfflineStore, tmp_path: Path) -> None:
    """It ends with 1 where more differs than may."""
    served.append(tmp_path, "1", [as_served(store, "ann"), as_served(store, "bob", recent_spend=9)])
    told = run(tmp_path)
    assert told.exit_code == 1
    head, first, *_ = told.stdout.splitlines()
    assert head == "2 served vectors compared"
    assert first.startswith("recent_spend")
    assert " 50.00%" in first
    assert "bob at " in first
    assert "served 9, tables 0" in first
    report = orjson.loads((tmp_path / SKEW_REPORT).read_bytes())
    assert (report["rows"], report["ratios"]["recent_spend"]) == (2, 0.5)
    assert run(tmp_path, "--most", "0.5").exit_code == 0


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("--hours", "nan"),
        ("--hours", "-3"),
        ("--hours", "inf"),
        ("--settle", "-5"),
        ("--most", "7"),
        ("--most", "nan"),
    ],
)
def test_options_that_make_no_sense_are_told(tmp_path: Path, option: str, given: str) -> None:
    """None of them is taken for nothing that differs."""
    told = run(tmp_path, option, given)
    assert told.exit_code == 2
    assert option in told.stderr


def test_what_is_too_new_or_too_old_is_left(store: OfflineStore, tmp_path: Path) -> None:
    """Events of the last minute may not be in the tables yet."""
    new = replace(as_served(store, "ann"), at_ms=int(time.time() * 1_000))
    old = replace(as_served(store, "ann"), at_ms=NOW_MS - 2 * 86_400_000)
    served.append(tmp_path, "1", [new, old])
    assert run(tmp_path).stdout.startswith("0 served vectors compared")
    assert run(tmp_path, "--hours", "72").stdout.startswith("1 served")


def test_half_a_line_is_left(store: OfflineStore, tmp_path: Path) -> None:
    """As a process leaves it that is killed; so is a line of another form."""
    served.append(tmp_path, "1", [as_served(store, "ann")])
    (path,) = (tmp_path / "served").iterdir()
    with path.open("ab") as file:
        file.write(b'{"user_id": "x"}\n[]\n' + as_served(store, "bob").line()[:50])
    assert [each.user_id for each in served.read(tmp_path, 0, 2**60)] == ["ann"]


def test_files_are_kept_for_a_week(store: OfflineStore, tmp_path: Path) -> None:
    """What is older goes when the next file begins."""
    served.append(tmp_path, "1", [as_served(store, "ann")])
    (path,) = (tmp_path / "served").iterdir()
    old = time.time() - KEPT_S - 10
    os.utime(path, (old, old))
    served.append(tmp_path, "2", [as_served(store, "ann")])
    assert [each.name.endswith("-2.jsonl") for each in (tmp_path / "served").iterdir()] == [True]


def test_a_file_that_is_just_removed_is_none(store: OfflineStore, tmp_path: Path) -> None:
    """The service removes what is too old, whoever reads meanwhile."""
    served.append(tmp_path, "1", [as_served(store, "ann")])
    (tmp_path / "served" / "20200101T00-1.jsonl").symlink_to(tmp_path / "gone")
    assert [each.user_id for each in served.read(tmp_path, 0, 2**60)] == ["ann"]


def test_nothing_is_compared_where_nothing_was_served(tmp_path: Path) -> None:
    """No folder is no mistake."""
    told = run(tmp_path)
    assert told.exit_code == 0
    assert told.stdout.startswith("0 served vectors compared: features are logged where")


def test_what_was_served_to_the_forgotten_goes(store: OfflineStore, tmp_path: Path) -> None:
    """Up to the forgetting and by a clock that was ahead; files are as old as they were."""
    ann, bob = as_served(store, "ann"), as_served(store, "bob")
    late = replace(ann, at_ms=NOW_MS + 2)
    ahead, about = replace(ann, at_ms=NOW_MS + 10), replace(bob, country="ann")
    append(tmp_path, "1", [ann, bob, late, ahead, about])
    (path,) = (tmp_path / "served").iterdir()
    with path.open("ab") as file:
        file.write(b'{"user_id":"ann","at')
    os.utime(path, (1, 1))

    Erasure(store, lambda: NOW_MS / 1_000 + 0.009).forget({"ann": NOW_MS + 1})

    assert list(read(tmp_path, 0, NOW_MS + 99)) == [bob, late, about]
    assert b'"ann","at' not in path.read_bytes().splitlines()[-1]
    assert path.stat().st_mtime == 1
    assert list((tmp_path / "served").iterdir()) == [path]


def test_what_was_served_to_the_forgotten_is_no_skew(store: OfflineStore, tmp_path: Path) -> None:
    """The tables say nothing of it any more."""
    rows = [as_served(store, "ann"), as_served(store, "bob")]
    Erasure(store).forget({"ann": NOW_MS})
    told = skew(store, rows)
    assert told.rows == 1
    assert not any(told.ratios.values())
    assert not (tmp_path / "served").exists()


def test_served_features_that_cannot_be_written_are_tried_again(
    store: OfflineStore, tmp_path: Path
) -> None:
    """It is the store's failure, which a consumer waits out."""
    append(tmp_path, "1", [as_served(store, "ann")])
    (path,) = (tmp_path / "served").iterdir()
    path.with_suffix(".new").mkdir()
    with pytest.raises(StoreError, match="served features: "):
        Erasure(store).forget({"ann": NOW_MS})
