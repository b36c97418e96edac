"""The demo shop: exact, repeatable to the byte, whatever its size in constant memory."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import polars as pl
import pytest
from click.testing import CliRunner, Result

from features.__main__ import cli
from features.demo_shop.simulate import World, simulate
from features.erasure import Erasure
from features.errors import InputError
from features.events import EventType
from features.offline.replacement import Replacement
from features.offline.store import OfflineStore

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = 5_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> OfflineStore:
    """Return a shop of `SMALL` events."""
    store = OfflineStore(tmp_path_factory.mktemp("shop"))
    assert simulate(store, World(SMALL, 7, UNTIL)) == SMALL
    return store


def rows(store: OfflineStore, table: str) -> pl.DataFrame:
    """Return all rows of a table as they stand."""
    return store.scan(table).collect()


def digest(store: OfflineStore) -> str:
    """Return a hash of every row of every table; a table has no order of its own."""
    keys = {"items": "item_id", "users": "user_id", "events": "event_id"}
    parts = [rows(store, table).sort(key).write_json() for table, key in keys.items()]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


@pytest.mark.parametrize("count", [1_000, 1_001, 4_999, 60_000])
def test_there_are_exactly_as_many_events(tmp_path: Path, count: int) -> None:
    """Whatever the size, no more and no fewer, each id once."""
    store = OfflineStore(tmp_path)
    simulate(store, World(count, 1, UNTIL))

    assert store.count("events") == count
    assert rows(store, "events")["event_id"].n_unique() == count


def test_the_same_seed_is_the_same_shop_to_the_byte(tmp_path: Path, shop: OfflineStore) -> None:
    """Another process makes the same; another seed or end makes another."""
    command = [sys.executable, "-m", "features", "simulate", "--events", str(SMALL), "--seed", "7"]
    environment = {**os.environ, "CUVEE_HOME": str(tmp_path / "a"), "PYTHONHASHSEED": "3"}
    subprocess.run([*command, "--until", "2026-01-01"], env=environment, check=True)
    others = [World(SMALL, 8, UNTIL), World(SMALL, 7, datetime(2025, 7, 1, tzinfo=UTC))]
    digests = {digest(shop), digest(OfflineStore(tmp_path / "a"))}
    assert len(digests) == 1

    for number, world in enumerate(others):
        store = OfflineStore(tmp_path / str(number))
        simulate(store, world)
        digests.add(digest(store))
    assert len(digests) == 3


def test_events_fit_together(shop: OfflineStore) -> None:
    """Items and shoppers exist, times lie in the past, purchases have the item's price."""
    events, items = rows(shop, "events"), rows(shop, "items")
    users = rows(shop, "users")

    assert set(events["type"]) == {str(kind) for kind in EventType}
    assert set(events["item_id"].drop_nulls()) <= set(items["item_id"])
    assert set(events["user_id"]) < set(users["user_id"])
    assert events["arrived_at"].max() < UNTIL  # type: ignore[operator]
    assert (events["timestamp"] == events["arrived_at"]).all()
    bought = events.filter(type="purchase").join(items, on="item_id")
    assert (bought["value"] == bought["price"]).all()
    stars = events.filter(type="rating")["value"]
    assert stars.is_between(1, 5).all()


def test_recommended_events_carry_their_recommendation(shop: OfflineStore) -> None:
    """Impressions have the id of what showed them, and clicks on them have the same.

    Where a shopper's first visit is cut off, its impressions may be; never elsewhere.
    """
    events = rows(shop, "events")
    shown = events.filter(type="impression").drop_nulls("recommendation_id")
    clicked = events.filter(type="click").drop_nulls("recommendation_id")

    assert len(shown) > len(events) / 5
    pair = ["recommendation_id", "item_id"]
    unseen = clicked.join(shown.select(pair), on=pair, how="anti")
    assert len(unseen) < len(clicked) / 10
    first_visits = events.sort("arrived_at").group_by("user_id").first()["session_id"]
    assert set(unseen["session_id"]) <= set(first_visits)


def test_every_event_has_a_context(shop: OfflineStore) -> None:
    """Device and country of each visit are JSON that the service would take."""
    for text in rows(shop, "events")["context"].unique():
        context = json.loads(text)
        assert context["device"] in {"mobile", "desktop", "tablet"}
        assert len(context["location"]["country"]) == 2


@pytest.mark.parametrize("count", [999, 100_000_001])
def test_sizes_beyond_the_limits_are_refused(tmp_path: Path, count: int) -> None:
    """The limits are named, and nothing is written."""
    with pytest.raises(InputError, match="1,000 to 100,000,000"):
        simulate(OfflineStore(tmp_path), World(count, 1, UNTIL))
    assert not (tmp_path / "offline").exists()


def run(home: Path, *options: str) -> Result:
    """Run the command as its users do."""
    command = ["simulate", "--events", "1000", *options]
    return CliRunner().invoke(cli, command, env={"CUVEE_HOME": str(home)})


def test_data_is_not_replaced_unasked(tmp_path: Path) -> None:
    """A second run is refused, skipped with --if-empty, and replaces with --replace."""
    first = run(tmp_path)
    before = digest(OfflineStore(tmp_path))

    refused = run(tmp_path, "--seed", "8")
    skipped = run(tmp_path, "--seed", "8", "--if-empty")
    assert digest(OfflineStore(tmp_path)) == before
    replaced = run(tmp_path, "--seed", "8", "--replace")

    assert [each.exit_code for each in (first, refused, skipped, replaced)] == [0, 2, 0, 0]
    assert refused.output.startswith("error: there is data already: --if-empty")
    assert skipped.output.startswith("there is data already: events@0")
    assert digest(OfflineStore(tmp_path)) != before
    assert OfflineStore(tmp_path).count("events") == 1_000


def test_the_forgotten_are_in_no_other_shop(tmp_path: Path) -> None:
    """Whoever was forgotten after the shop's events; one who was before them is back."""
    run(tmp_path)
    store = OfflineStore(tmp_path)
    gone, back, *_ = rows(store, "events")["user_id"].unique().sort()
    late_ms = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp() * 1_000)
    Erasure(store).forget({gone: late_ms, back: 1_000, "somebody else": late_ms})

    told = run(tmp_path, "--replace")

    passed_over = 1_000 - store.count("events")
    assert passed_over > 0
    assert f"passed over: {passed_over:,} events of forgotten shoppers" in told.stderr
    assert f"{1_000 - passed_over} events, " in told.stdout
    for table in ("events", "users"):
        users = set(rows(store, table)["user_id"])
        assert gone not in users, table
        assert back in users, table
    assert len(rows(store, "users")) == World(1_000, 7, UNTIL).shoppers - 1


def interrupted(*_: object) -> NoReturn:
    """End as by Ctrl-C."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["visits_of", "Baselines.forget"])
def test_who_is_stopped_while_making_the_shop_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """All of it: tables, versions and what good data are like; and nothing lies about."""
    run(tmp_path)
    (tmp_path / "quality").mkdir()
    (tmp_path / "quality" / "baselines.json").write_text("{}")
    before, version = digest(OfflineStore(tmp_path)), OfflineStore(tmp_path).version()
    with monkeypatch.context() as patched:
        patched.setattr(f"features.demo_shop.simulate.{moment}", interrupted)

        assert run(tmp_path, "--seed", "8", "--replace").exit_code == 1

    assert (digest(OfflineStore(tmp_path)), OfflineStore(tmp_path).version()) == (before, version)
    assert (tmp_path / "quality" / "baselines.json").exists()
    left = {path.name for path in (tmp_path / "offline").iterdir()}
    assert left == {"events", "items", "users", "shelf.bin", ".lock"}


def test_who_is_killed_while_putting_the_shop_in_place_leaves_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its events are there, whoever opens the store next writes the rest."""
    world = World(SMALL, 8, UNTIL)
    simulate(OfflineStore(tmp_path / "whole"), world)
    home = tmp_path / "home"
    simulate(OfflineStore(home), World(SMALL, 7, UNTIL))
    with monkeypatch.context() as patched:
        patched.setattr(Replacement, "end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulate(OfflineStore(home), world)

    store = OfflineStore(home)

    assert store.version() == "events@1,items@1,users@1"
    assert digest(store) == digest(OfflineStore(tmp_path / "whole"))
    left = {path.name for path in (home / "offline").iterdir()}
    assert left == {"events", "items", "users", "shelf.bin", ".lock"}


def test_a_shop_that_is_being_replaced_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for whoever is at it, or ends it for them."""
    run(tmp_path)
    seen = []

    def look(_: object) -> None:
        command = [sys.executable, "-m", "features", "show", "--json"]
        environment = os.environ | {"CUVEE_HOME": str(tmp_path)}
        seen.append(subprocess.run(command, env=environment, check=True, capture_output=True))

    monkeypatch.setattr("features.demo_shop.simulate.Baselines.forget", look)

    assert run(tmp_path, "--seed", "8", "--replace").exit_code == 0

    assert [json.loads(each.stdout)["version"] for each in seen] == ["events@0,items@0,users@0"]
    assert OfflineStore(tmp_path).version() == "events@1,items@1,users@1"


def peak_mib(home: Path, events: int) -> float:
    """Return the most memory that a process takes to make a shop of that size."""
    code = (
        "import resource, sys; from features.__main__ import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    environment = {**os.environ, "CUVEE_HOME": str(home), "MALLOC_ARENA_MAX": "2"}
    told = subprocess.run(
        [sys.executable, "-c", code, "simulate", "--events", str(events)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return int(told.stdout.splitlines()[-1]) / 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_shop(tmp_path: Path) -> None:
    """Ten times the events take hardly more memory, where their rows alone would take far more."""
    small = peak_mib(tmp_path / "small", 60_000)
    large = peak_mib(tmp_path / "large", 600_000)

    assert large - small < 150
