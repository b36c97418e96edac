"""Cohorts of lists, judged when they are mature, and the command that shows them."""

import json
import random
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from features.declared import FEATURE_SET
from features.events import EventType
from features.lists.carrier import Carrier
from features.lists.line import UsedFeatures
from features.offline.store import OfflineStore
from monitoring.__main__ import cli
from monitoring.outcomes.cohorts import Cohort, Outcome, outcomes
from monitoring.outcomes.nowcast import Nowcast
from monitoring.outcomes.policy import HOUR_MS, parse_policy
from tests.support.listed import (
    done,
    happen,
    line_of_before,
    list_line,
    serve,
    serve_before,
    write_segment,
)

DAY_MS = 24 * HOUR_MS
NOW_MS = 1_760_011_200_000
"""2025-10-09 12:00 UTC, a Thursday."""

NUMBERS = np.linspace(0.1, 2e7, len(FEATURE_SET.names), dtype=np.float32)
NUMBERS[0] = np.nan
VALUES = [None, *NUMBERS[1:].tolist()]
SCHEMAS = FEATURE_SET.schema_hash, "older"

POLICY = parse_policy("settle_minutes: 60", "x")


@pytest.fixture
def store(tmp_path: Path) -> OfflineStore:
    """Return an empty store."""
    return OfflineStore(tmp_path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> OfflineStore:
    """Return a shop of twelve days: a click after minutes or hours for every fifth list."""
    store, chance = OfflineStore(tmp_path_factory.mktemp("shop")), random.Random(4)
    lines, events = [], []
    for number in range(2_400):
        at, user = NOW_MS - int(12 * DAY_MS * (2_400 - number) / 2_400), f"u{number % 90}"
        version = "v1" if number % 3 else "v2"
        used = UsedFeatures(NUMBERS, SCHEMAS[number % 3], at) if number % 3 < len(SCHEMAS) else None
        lines.append(list_line(f"r{number}", user, at, model_version=version, used=used))
        if not number % 5:
            delay = int(chance.expovariate(1 / (5 * HOUR_MS)))
            if at + delay <= NOW_MS and delay <= 24 * HOUR_MS:
                events.append(done(f"c{number}", user, "i2", at + delay, list_id=f"r{number}"))
        if not number % 30 and at + HOUR_MS <= NOW_MS:
            paid = done(
                f"p{number}", user, "i1", at + HOUR_MS, EventType.PURCHASE, f"r{number}", 12.0
            )
            events.append(paid)
    serve(store, *lines)
    happen(store, *events)
    return store


def test_only_mature_cohorts_are_judged(shop: OfflineStore) -> None:
    """By type: a click is known after a day, a purchase after a week; before there is a guess."""
    told = outcomes(shop, POLICY, NOW_MS, 12)
    assert [each.lists for each in told.cohorts] == [100, *[200] * 11, 100]
    assert sum(each.lists for each in told.cohorts) == 2_400
    clicks = [each.outcomes["click"] for each in told.cohorts]
    assert [each.is_mature for each in clicks] == [True] * 11 + [False] * 2
    bought = [each.outcomes["purchase"] for each in told.cohorts]
    assert [each.is_mature for each in bought] == [True] * 5 + [False] * 8
    for cohort in told.cohorts[1:5]:
        assert cohort.rate("click") == pytest.approx(0.2, abs=0.01)
        assert cohort.outcomes["purchase"].value == 12.0 * cohort.outcomes["purchase"].lists
        assert cohort.shoppers == 90
        assert cohort.outcomes["click"].nowcast is None
    yesterday, today = told.cohorts[-2:]
    assert yesterday.rate("click") is None
    guess = yesterday.outcomes["click"].nowcast
    assert isinstance(guess, Nowcast)
    assert guess.low <= 0.2 <= guess.high
    assert today.outcomes["click"].lists < 0.16 * today.lists
    assert (told.ahead, told.attribution.before) == (0, 0)


def test_by_what_lists_are_told_apart(shop: OfflineStore) -> None:
    """Hours, weeks and values add up to the same lists."""
    whole = outcomes(shop, POLICY, NOW_MS, 5)
    for every, by in (("hour", None), ("day", "model_version"), ("week", "page")):
        told = outcomes(shop, POLICY, NOW_MS, 5, every, by)
        if every != "week":
            assert sum(each.lists for each in told.cohorts) == pytest.approx(
                sum(each.lists for each in whole.cohorts), abs=200
            )
        assert {each.group for each in told.cohorts} == {
            None: {None},
            "model_version": {"v1", "v2"},
            "page": {"home"},
        }[by]
    weeks = outcomes(shop, POLICY, NOW_MS, 5, "week").cohorts
    assert [each.start_ms % (7 * DAY_MS) for each in weeks] == [4 * DAY_MS] * len(weeks)


def test_empty_early_and_of_the_future(store: OfflineStore) -> None:
    """No list is no cohort, the first lists have no estimate; those of a future are left out."""
    assert outcomes(store, POLICY, NOW_MS, 7).cohorts == ()
    serve(store, list_line("r1", "ann", NOW_MS), list_line("r2", "ann", NOW_MS + HOUR_MS))
    happen(store, done("e1", "ann", "i1", NOW_MS, list_id="r1"))
    told = outcomes(store, POLICY, NOW_MS, 7)
    (cohort,) = told.cohorts
    assert (cohort.lists, cohort.shoppers, told.ahead) == (1, 1, 1)
    assert cohort.outcomes["click"] == Outcome(
        1, 1, 0.0, is_mature=False, nowcast="fewer than 20 delays of mature lists"
    )


def _run(home: Path, *words: str, **variables: str) -> Result:
    return CliRunner().invoke(cli, ["outcomes", *words], env={"CUVEE_HOME": str(home), **variables})


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be `NOW_MS`."""
    monkeypatch.setattr("time.time", lambda: NOW_MS / 1_000)


@pytest.mark.usefixtures("still")
def test_the_command_shows_cohorts(shop: OfflineStore, tmp_path: Path) -> None:
    """An estimate is marked; JSON has all of it."""
    done_ = _run(shop.home, "--days", "12")
    assert done_.exit_code == 0, done_.output
    lines = done_.output.splitlines()
    assert lines[0].split()[:4] == ["served", "(UTC)", "lists", "shoppers"]
    assert lines[2].startswith("2025-09-28          200         90  19.50%")
    assert "~" not in lines[2]
    assert lines[12].startswith("2025-10-08          200         90  ~")
    assert "so far" in lines[13]
    assert "for the list they name, 0 for the last that showed the item" in lines[-1]
    by = _run(shop.home, "--days", "3", "--by", "model", "--every", "hour").output
    assert "2025-10-08 13:00  v2" in by
    told = json.loads(_run(shop.home, "--json").output)
    assert len(told["cohorts"]) == 13
    assert told["credited_by_shopper"] == 0
    assert told["cohorts"][0]["outcomes"]["click"]["is_mature"]
    (tmp_path / "own.yaml").write_text("hours: {click: 2}")
    only = _run(shop.home, "--policy", str(tmp_path / "own.yaml")).output
    assert "purchase" not in only


@pytest.mark.usefixtures("still")
def test_the_lists_themselves(shop: OfflineStore, tmp_path: Path) -> None:
    """A row each, with what became of it and the features that were used, to the last bit.

    Of other declarations it tells which; of a list without there are none.
    """
    path = tmp_path / "lists.parquet"
    assert _run(shop.home, "--days", "12", "--export", str(path)).exit_code == 0
    rows = pl.read_parquet(path).sort("served_ms")
    assert len(rows) == 2_400
    assert rows["click_position"].list.len().sum() > 400
    first = rows.row(0, named=True)
    assert (first["purchase_value"], first["purchase_delay_ms"]) == ([12.0], [HOUR_MS])
    names = [f"feature_{name}" for name in FEATURE_SET.names]
    assert set(rows.select(names).dtypes) == {pl.Float32}
    nothing = (None,) * len(names)
    assert rows.select(names).rows()[-3:] == [tuple(VALUES), nothing, nothing]
    assert rows["features_schema"].to_list()[-3:] == [*SCHEMAS, None]
    assert rows["as_of"].dt.epoch("ms").to_list()[-3:-1] == rows["served_ms"].to_list()[-3:-1]
    assert "features" not in rows.columns
    assert not (tmp_path / ".lists.parquet.new").exists()


@pytest.mark.usefixtures("still")
def test_the_lists_of_a_table_of_before(store: OfflineStore) -> None:
    """It says of no feature what it was, until lists with theirs stand in it."""
    path = store.home / "lists.parquet"
    serve_before(store, line_of_before("r1", "ann", NOW_MS - 2))
    column = f"feature_{FEATURE_SET.names[1]}"
    for expected in ([None], [None, VALUES[1]]):
        assert _run(store.home, "--export", str(path)).exit_code == 0
        rows = pl.read_parquet(path).sort("served_ms")
        assert rows[column].to_list() == expected
        assert rows["features_schema"].to_list() == [None, SCHEMAS[0]][: len(rows)]
        used = UsedFeatures(NUMBERS, SCHEMAS[0], NOW_MS)
        serve(store, list_line("r2", "ann", NOW_MS - 1, used=used))


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    """No lists, a policy that is none, a file that cannot be written."""
    done_ = _run(tmp_path)
    assert (done_.exit_code, done_.output[:26]) == (2, "error: no list was served ")
    assert "wait for their table" not in done_.output
    write_segment(tmp_path, [list_line("r1", "ann", int(time.time() * 1_000) - HOUR_MS)])
    done_ = _run(tmp_path, "--export", str(tmp_path / "lists.parquet"))
    assert (done_.exit_code, "some wait for their table" in done_.output) == (2, True)
    assert not (tmp_path / "lists.parquet").exists()
    Carrier(OfflineStore(tmp_path)).carry()
    (tmp_path / "p.yaml").write_text("hours: {click: -1}")
    done_ = _run(tmp_path, CUVEE_OUTCOMES=str(tmp_path / "p.yaml"))
    assert done_.exit_code == 2
    assert "p.yaml: hours.click: expected a number from" in done_.output
    done_ = _run(tmp_path, "--export", str(tmp_path / "no" / "x.parquet"))
    assert (done_.exit_code, "--export: " in done_.output) == (2, True)


def test_a_cohort_that_is_not_mature_has_no_rate() -> None:
    """Whoever judges cannot take a guess for one."""
    young = Outcome(1, 1, 0.0, is_mature=False, nowcast=Nowcast(0.5, 0.1, 0.9, 0.4))
    assert Cohort(0, 1, None, 4, 4, {"click": young}).rate("click") is None
