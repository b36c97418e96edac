"""Bad batches and bad tables are held back whole, and somebody decides."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from features.__main__ import cli
from features.demo_shop.simulate import World, simulate
from features.errors import StoreError
from features.identity.forgotten import ForgottenList
from features.offline.staged import StagedBatch
from features.offline.store import OfflineStore
from features.offline.tables import ITEMS as ITEM_SCHEMA
from features.online.embedded import EmbeddedValkey
from features.online.stream_entries import Entry
from features.online.valkey_store import ValkeyStore
from features.quality.quarantine import Quarantine
from features.stream.archive import Archive
from tests.support.abandoned import abandoned
from tests.support.limits import no_room
from tests.support.process import ROOT

ITEMS = 150

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with nothing in it."""
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs a verb in `home`."""
    monkeypatch.delenv("CUVEE_QUALITY", raising=False)
    runner = CliRunner(env={"CUVEE_HOME": str(home)})
    return lambda *arguments: runner.invoke(cli, [str(each) for each in arguments])


def batch(folder: Path, *, price: float = 10.0, first: int = 0) -> Path:
    """Write items that cost about `price`, and as many ratings."""
    folder.mkdir(exist_ok=True)
    rows = range(ITEMS)
    items = (f"i{n},Red,{price * (1 + n % 10 / 10):.2f}" for n in rows)
    (folder / "items.csv").write_text("\n".join(["item_id,category,price", *items]) + "\n")
    events = (f"e{first + n},rating,u{n % 9},i{n},{1_700_000_000 + n},4" for n in rows)
    header = "event_id,type,user_id,item_id,timestamp,value"
    (folder / "events.csv").write_text("\n".join([header, *events]) + "\n")
    return folder


def held(run: Run) -> list[str]:
    """Return the ids of what is held back."""
    lines = run("quality", "list").stdout.splitlines()
    return [] if lines == ["nothing is held back"] else [line.split()[0] for line in lines]


KILLED = """
import os, pkgutil, signal, sys
owner, _, name = sys.argv.pop(1).rpartition(".")
setattr(pkgutil.resolve_name(owner), name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
from features.__main__ import cli
cli()
"""


def killed_at(step: str, home: Path, *words: str) -> None:
    """Run a verb that is killed where it comes to call something."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, step, *words],
        env=os.environ | {"CUVEE_HOME": str(home)},
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


def test_a_batch_in_cents_is_held_back_whole(run: Run, home: Path, tmp_path: Path) -> None:
    """Prices a hundredfold: nothing is written, the report says why, and the baseline stays."""
    assert run("ingest", "--data", batch(tmp_path / "a")).exit_code == 0
    version = OfflineStore(home).version()
    baseline = (home / "quality" / "baselines.json").read_text()

    result = run("ingest", "--data", batch(tmp_path / "b", price=1_000.0, first=1_000))

    assert result.exit_code == 3
    (held_id,) = held(run)
    assert result.stderr.startswith(f"error: held back as {held_id}: 2 expectations are not met\n")
    assert "items.price: statistics: expected a mean of at most" in result.stderr
    asked = f"CUVEE_HOME={home} python -m features quality release|discard {held_id}\n"
    assert result.stderr.endswith(asked)
    assert OfflineStore(home).version() == version
    assert (home / "quality" / "baselines.json").read_text() == baseline
    assert not list((home / "offline").glob(".staged-*"))
    told = json.loads((home / "quarantine" / held_id / "report.json").read_text())
    assert [each["column"] for each in told["findings"] if each["passed"] is False] == ["price"] * 2
    page = (home / "quarantine" / held_id / "report.html").read_text()
    assert "<td>items</td><td>price</td><td>like earlier data</td><td>a mean of at most" in page
    assert "VIOLATED" in run("quality", "show", held_id).stdout


def test_a_released_batch_is_written_and_moves_the_baseline(
    run: Run, home: Path, tmp_path: Path
) -> None:
    """Somebody knows better: the next batch like it passes."""
    run("ingest", "--data", batch(tmp_path / "a"))
    dear = batch(tmp_path / "b", price=1_000.0, first=1_000)
    with (dear / "items.csv").open("a") as file:
        file.write("new,Red,1000\n")
    run("ingest", "--data", dear)
    (held_id,) = held(run)

    told = "events    150 rows → 300\nitems     150 rows → 151, 150 changed\nusers     0 rows → 0\n"
    dry = run("quality", "release", held_id, "--dry-run")
    would = f"{told}{held_id}: would be released; nothing was done\n"
    assert (dry.exit_code, dry.stdout) == (0, would)
    assert (held(run), OfflineStore(home).count("events")) == ([held_id], ITEMS)

    result = run("quality", "release", held_id)

    assert (result.exit_code, result.stdout) == (0, f"{told}{held_id}: released\n")
    assert held(run) == []
    assert OfflineStore(home).catalogue().price[0] == 1_000.0
    assert OfflineStore(home).count("events") == 2 * ITEMS
    again = run("ingest", "--data", dear)
    assert "events    0 new, 150 known already\n" in again.stdout
    assert "items     0 new" in again.stdout


def test_a_released_batch_does_not_contradict_the_tables(
    run: Run, home: Path, tmp_path: Path
) -> None:
    """What came under its ids meanwhile stays, and the batch stays held back."""
    run("ingest", "--data", batch(tmp_path / "a"))
    run("ingest", "--data", batch(tmp_path / "b", price=1_000.0, first=1_000))
    (held_id,) = held(run)
    store = OfflineStore(home)
    other = store.scan("events").with_columns(
        event_id=pl.lit("e1001"), user_id=pl.lit("somebody"), arrived_at="timestamp"
    )
    store.append_events(other.head(1).collect().to_arrow())

    result = run("quality", "release", held_id)

    assert result.exit_code == 2
    assert "the events table changed meanwhile: of 1 ids" in result.stderr
    assert held(run) == [held_id]
    assert store.count("events") == ITEMS + 1


def test_a_discarded_batch_is_gone(run: Run, home: Path, tmp_path: Path) -> None:
    """Rows and report; what was asked for twice is there no more."""
    run("ingest", "--data", batch(tmp_path / "a"))
    run("ingest", "--data", batch(tmp_path / "b", price=1_000.0))
    (held_id,) = held(run)

    assert run("quality", "discard", held_id).exit_code == 0

    assert [path.name for path in (home / "quarantine").iterdir()] == [".lock"]
    result = run("quality", "release", held_id)
    assert result.exit_code == 2
    expected = f"quarantine: there is no '{held_id}'; held back is: nothing"
    assert result.stderr == f"error: {expected}\n"


def test_two_batches_of_one_second_are_held_back_both(run: Run, tmp_path: Path) -> None:
    """Each has an id of its own."""
    run("ingest", "--data", batch(tmp_path / "a"))
    for price in (1_000.0, 2_000.0, 3_000.0):
        run("ingest", "--data", batch(tmp_path / "b", price=price))
    first = held(run)[0]
    run("quality", "discard", first)
    run("ingest", "--data", batch(tmp_path / "b", price=4_000.0))

    assert len({*held(run), first}) >= 3
    assert len(held(run)) == 3


def test_a_batch_is_held_back_once(run: Run, tmp_path: Path) -> None:
    """However often it comes."""
    run("ingest", "--data", batch(tmp_path / "a"))
    dear = batch(tmp_path / "b", price=1_000.0)
    for _ in range(2):
        assert run("ingest", "--data", dear).exit_code == 3

    assert len(held(run)) == 1


def test_a_released_batch_may_come_again(run: Run, tmp_path: Path) -> None:
    """A row that was released is not held back the next day."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("items: [{rule: range, columns: [price], max: 100}]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUVEE_QUALITY", str(rules))
        dear = batch(tmp_path / "a", price=1_000.0)
        assert run("ingest", "--data", dear).exit_code == 3
        run("quality", "release", *held(run))

        assert run("ingest", "--data", dear).exit_code == 0
        assert held(run) == []
        batch(tmp_path / "a", price=1_001.0)
        assert run("ingest", "--data", dear).exit_code == 3


def test_refused_rows_are_told_with_what_is_held_back(run: Run, tmp_path: Path) -> None:
    """They are not in the batch, and a release does not bring them."""
    run("ingest", "--data", batch(tmp_path / "a"))
    dear = batch(tmp_path / "b", price=1_000.0, first=1_000)
    with (dear / "events.csv").open("a") as file:
        file.write("e9,klick,u1,i1,1700000000,\n")

    result = run("ingest", "--data", dear)

    assert "row 152: 'klick'" in result.stderr
    assert "1 row refused (above), and not among what is held back" in result.stderr
    assert "'klick'" in run("quality", "show", *held(run)).stdout


def test_who_was_killed_leaves_nothing(run: Run, home: Path, tmp_path: Path) -> None:
    """What an ingest that was killed had staged goes with the next."""
    left = abandoned(home / "offline", ".staged-")
    (left / "events.parquet").write_bytes(b"rows of somebody")

    assert run("ingest", "--data", batch(tmp_path / "a")).exit_code == 0
    assert not left.exists()


def test_what_cannot_be_held_back_is_told_all_the_same(
    run: Run, home: Path, tmp_path: Path
) -> None:
    """A file stands where the quarantine should be: what was broken is said, nothing is written."""
    run("ingest", "--data", batch(tmp_path / "a"))
    (home / "quarantine").write_text("in the way")

    result = run("ingest", "--data", batch(tmp_path / "b", price=1_000.0, first=1_000))

    assert result.exit_code == 2
    assert "items.price: statistics: expected a mean of at most" in result.stderr
    assert "nothing was written; not held back: " in result.stderr
    assert OfflineStore(home).count("events") == ITEMS


def test_few_rows_move_no_baseline(run: Run, home: Path, tmp_path: Path) -> None:
    """Not those of a correction, and not the first ones either."""
    one = tmp_path / "one.csv"
    one.write_text("item_id,category,price\ni1,Red,9000\n")
    assert run("ingest", "--items", one).exit_code == 0
    assert run("ingest", "--data", batch(tmp_path / "a")).exit_code == 0
    baseline = (home / "quality" / "baselines.json").read_text()

    assert run("ingest", "--items", one).exit_code == 0
    assert (home / "quality" / "baselines.json").read_text() == baseline


def test_tables_that_are_not_good_are_not_brought_online(
    run: Run, home: Path, tmp_path: Path
) -> None:
    """Once released they may be as they are while others come, until they get worse."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "events: [{rule: range, columns: [value], max: 3, where: {type: rating}, "
        "at: [materialize]}]\n"
    )
    clicks = tmp_path / "clicks.csv"
    clicks.write_text("event_id,type,user_id,item_id,timestamp\nc1,click,u1,i1,1760000000\n")
    with pytest.MonkeyPatch.context() as patch, EmbeddedValkey(home / "valkey") as store:
        patch.setenv("CUVEE_QUALITY", str(rules))
        patch.setenv("CUVEE_REDIS_URL", store.url)
        run("ingest", "--data", batch(tmp_path / "a"))
        results = [run("materialize") for _ in range(2)]

        assert [each.exit_code for each in results] == [3, 3]
        assert "events where type is rating.value: range: expected at most 3" in results[0].stderr
        assert held(run) == ["materialize"]
        assert run("quality", "release", "materialize").exit_code == 0
        assert run("materialize").stdout.startswith("shoppers  9 brought online")
        assert "vouched for" in run("quality", "check").stdout

        run("ingest", "--events", clicks)
        assert run("materialize").exit_code == 0
        run("ingest", "--data", batch(tmp_path / "b", first=1_000))
        assert run("materialize").exit_code == 3


def test_tables_that_were_tidied_can_be_released(run: Run, home: Path, tmp_path: Path) -> None:
    """Their version is gone, their rows are there; where others came it is said that it is gone."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("events: [{rule: range, columns: [value], max: 3, at: [materialize]}]\n")
    with pytest.MonkeyPatch.context() as patch, EmbeddedValkey(home / "valkey") as store:
        patch.setenv("CUVEE_QUALITY", str(rules))
        patch.setenv("CUVEE_REDIS_URL", store.url)
        for first in (0, 1_000):
            run("ingest", "--data", batch(tmp_path / "a", first=first))
            assert run("materialize").exit_code == 3
            OfflineStore(home).tidy(timedelta(0))
            assert run("quality", "release", "materialize").exit_code == 0
            assert run("materialize").exit_code == 0


def test_tables_that_are_good_again_are_held_back_no_more(
    run: Run, home: Path, tmp_path: Path
) -> None:
    """Nobody has to decide on what is mended."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("events: [{rule: row_count, min: 200, at: [materialize]}]\n")
    with pytest.MonkeyPatch.context() as patch, EmbeddedValkey(home / "valkey") as store:
        patch.setenv("CUVEE_QUALITY", str(rules))
        patch.setenv("CUVEE_REDIS_URL", store.url)
        run("ingest", "--data", batch(tmp_path / "a"))
        assert run("materialize").exit_code == 3
        run("ingest", "--data", batch(tmp_path / "b", first=1_000))

        assert run("materialize").exit_code == 0
        assert held(run) == []


def test_tables_with_a_login_are_judged(run: Run, home: Path, tmp_path: Path) -> None:
    """The table of who was merged into whom has no rules."""
    run("ingest", "--data", batch(tmp_path / "a"))
    OfflineStore(home).merge([("session:1", "u1", 1_700_000_000_000)])

    checked = run("quality", "check")

    assert checked.exit_code == 0, checked.exception
    with pytest.MonkeyPatch.context() as patch, EmbeddedValkey(home / "valkey") as store:
        patch.setenv("CUVEE_REDIS_URL", store.url)
        assert run("materialize").stdout.startswith("shoppers  9 brought online")


def test_an_emptied_table_is_not_good(run: Run, home: Path, tmp_path: Path) -> None:
    """The items are gone, the events are there."""
    run("ingest", "--data", batch(tmp_path / "a"))
    assert run("quality", "check").exit_code == 0
    OfflineStore(home).replace("items", ITEM_SCHEMA.empty_table())

    result = run("quality", "check")

    assert result.exit_code == 1
    assert "at least 1 rows" in result.stdout
    assert "0 rows  VIOLATED" in result.stdout


def test_the_tables_are_checked_from_the_command_line(run: Run, home: Path, tmp_path: Path) -> None:
    """It ends with 1 where a rule is broken, and writes the page where it is asked to."""
    simulate(OfflineStore(home), World(3_000, 1, datetime(2026, 1, 1, tzinfo=UTC)))
    rules, page = tmp_path / "rules.yaml", tmp_path / "report.html"
    rules.write_text("events: [{rule: freshness, columns: [timestamp], max_age: 1h}]\n")

    good = run("quality", "check")
    bad = run("quality", "check", "--rules", rules, "--html", page)

    assert good.exit_code == 0
    assert good.stdout.splitlines()[-1].startswith("0 of ")
    assert bad.exit_code == 1
    assert bad.stdout.splitlines()[-1] == "1 of 1 violated"
    assert "<td>how new it is</td><td>the newest at most 60 minutes old</td>" in page.read_text()
    assert not (home / "quality").exists()


def test_the_rules_in_force_can_be_printed_and_used(run: Run, tmp_path: Path) -> None:
    """What is printed is a file of rules."""
    path = tmp_path / "rules.yaml"
    path.write_text(run("quality", "rules").stdout)

    assert "no data" in run("quality", "check", "--rules", path).stderr


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"baselines": {"ingest": {"items": {}}}}', '{"baselines": 3}']
)
def test_baselines_that_cannot_be_read_are_told(
    run: Run, home: Path, tmp_path: Path, text: str
) -> None:
    """One line, with what to do; nothing is written."""
    (home / "quality").mkdir(parents=True)
    (home / "quality" / "baselines.json").write_text(text)

    result = run("ingest", "--data", batch(tmp_path / "a"))

    assert result.exit_code == 2
    assert "remove it to begin anew" in result.stderr
    assert result.stderr.count("\n") == 1
    assert OfflineStore(home).is_empty()


def test_a_report_that_cannot_be_read_is_told(run: Run, home: Path, tmp_path: Path) -> None:
    """In one line."""
    run("ingest", "--data", batch(tmp_path / "a"))
    run("ingest", "--data", batch(tmp_path / "b", price=1_000.0))
    (held_id,) = held(run)
    (home / "quarantine" / held_id / "report.json").write_text("{}")

    for verb in (("list",), ("show", held_id), ("release", held_id)):
        result = run("quality", *verb)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: quarantine: ")


async def test_the_forgotten_are_forgotten_in_quarantine_too(
    run: Run, home: Path, tmp_path: Path, online_store: ValkeyStore
) -> None:
    """Their rows go from what is held back; the others' stay."""
    run("ingest", "--data", batch(tmp_path / "a"))
    run("ingest", "--data", batch(tmp_path / "b", price=1_000.0, first=1_000))
    quarantine = Quarantine(home)
    (before,) = quarantine.all()
    whose = before.batch.tables()["events"].collect()["user_id"].to_list()

    tombstone = Entry(b"0-1", 2_000_000_000_000, forget="u3")
    await Archive(online_store, OfflineStore(home)).take([tombstone])

    (after,) = quarantine.all()
    rest = after.batch.tables()["events"].collect()["user_id"].to_list()
    assert rest == [each for each in whose if each != "u3"]
    assert len(after.batch.tables()["items"].collect()) == ITEMS
    (held_id,) = held(run)
    run("quality", "release", held_id)
    assert OfflineStore(home).count("events") == ITEMS + len(rest) - whose.count("u3")


@pytest.mark.parametrize("name", ["report.json", "events.parquet"])
async def test_the_damaged_stops_nobody_who_forgets(
    run: Run, home: Path, tmp_path: Path, online_store: ValkeyStore, name: str
) -> None:
    """A cut file of events goes: nobody could release it. A cut report keeps nothing back."""
    run("ingest", "--data", batch(tmp_path / "a"))
    run("ingest", "--data", batch(tmp_path / "b", price=1_000.0, first=1_000))
    folder = home / "quarantine" / held(run)[0]
    path = folder / name
    path.write_bytes(path.read_bytes()[:300])

    tombstone = Entry(b"0-1", 2_000_000_000_000, forget="u3")
    await Archive(online_store, OfflineStore(home)).take([tombstone])

    events = StagedBatch(folder).tables().get("events")
    assert events is None or "u3" not in events.collect()["user_id"].to_list()


def test_a_quarantine_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    """It is the store's failure, which a consumer waits out."""
    (tmp_path / "quarantine").write_text("in the way")

    with pytest.raises(StoreError, match="quarantine: "):
        Quarantine(tmp_path).forget(["u3"])


def test_forgetting_on_a_full_disk_keeps_what_others_did(
    run: Run, home: Path, tmp_path: Path
) -> None:
    """It is tried again: the rows of all are there until those of one can be left out."""
    run("ingest", "--data", batch(tmp_path / "a"))
    run("ingest", "--data", batch(tmp_path / "b", price=1_000.0, first=1_000))
    (kept,) = Quarantine(home).all()
    before = sorted(kept.batch.folder.iterdir())

    with no_room(100), pytest.raises(StoreError, match=r"File too large.*events\.parquet"):
        Quarantine(home).forget(["u3"])

    assert sorted(kept.batch.folder.iterdir()) == before
    assert len(kept.batch.tables()["events"].collect()) == ITEMS
    Quarantine(home).forget(["u3"])
    assert "u3" not in kept.batch.tables()["events"].collect()["user_id"].to_list()


def test_what_is_being_thrown_away_is_forgotten_too(run: Run, home: Path, tmp_path: Path) -> None:
    """Where that was interrupted rows are still there."""
    run("ingest", "--data", batch(tmp_path / "a"))
    run("ingest", "--data", batch(tmp_path / "b", price=1_000.0, first=1_000))
    folder = home / "quarantine" / held(run)[0]
    killed_at("features.scratch.shutil.rmtree", home, "quality", "discard", folder.name)
    assert list((home / "quarantine").rglob("events.parquet"))

    Quarantine(home).forget(["u3"])

    assert held(run) == []
    assert [each.name for each in (home / "quarantine").iterdir()] == [".lock"]


def test_who_is_killed_while_holding_back_leaves_nothing(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half held back goes with the next that is, or is forgotten in."""
    run("ingest", "--data", batch(tmp_path / "a"))
    rules = tmp_path / "rules.yaml"
    rules.write_text("events: [{rule: row_count, min: 200, at: [materialize]}]\n")
    monkeypatch.setenv("CUVEE_QUALITY", str(rules))
    monkeypatch.setenv("CUVEE_REDIS_URL", "redis://127.0.0.1:1")  # nobody comes so far

    killed_at("features.quality.quarantine.as_html", home, "materialize", "--force")
    (left,) = (home / "quarantine").glob(".unfinished-*")
    assert run("materialize", "--force").exit_code == 3
    assert not left.exists()
    killed_at("features.quality.quarantine.as_html", home, "materialize", "--force")
    Quarantine(home).forget(["u3"])

    assert {each.name for each in (home / "quarantine").iterdir()} == {".lock", "materialize"}


async def test_what_is_being_released_is_forgotten_too(
    run: Run, home: Path, tmp_path: Path, online_store: ValkeyStore
) -> None:
    """Whoever forgets waits for the release, and finds in the tables what it brought."""
    run("ingest", "--data", batch(tmp_path / "a"))
    run("ingest", "--data", batch(tmp_path / "b", price=1_000.0, first=1_000))
    quarantine, store = Quarantine(home), OfflineStore(home)
    archive = Archive(online_store, store)

    with quarantine.taken(held(run)[0]) as released:
        tombstone = Entry(b"0-1", 2_000_000_000_000, forget="u3")
        forgetting = asyncio.ensure_future(archive.take([tombstone]))
        await asyncio.sleep(0.2)
        released.batch.commit(store)
    await forgetting

    assert "u3" not in store.scan("events").collect()["user_id"].to_list()


async def test_what_is_held_back_holds_nobody_forgotten(
    run: Run, home: Path, tmp_path: Path
) -> None:
    """A file that is held back after the forgetting is kept without their rows."""
    run("ingest", "--data", batch(tmp_path / "a"))
    ForgottenList(home).add({"u3": 2_000_000_000_000})
    run("ingest", "--data", batch(tmp_path / "b", price=1_000.0, first=1_000))

    (kept,) = Quarantine(home).all()
    users = kept.batch.tables()["events"].collect()["user_id"].unique().to_list()
    assert "u3" not in users
    assert "u1" in users
