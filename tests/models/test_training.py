"""From a store to parts: a demo shop, and stores with hardly anything in them."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from threadpoolctl import threadpool_info, threadpool_limits

from features.declared import FEATURE_NAMES
from features.demo_shop.simulate import World, simulate
from features.errors import InputError
from features.eventlog import NO_RECORDS
from features.events import RECORD, TYPE_CODES, EventType
from features.ids import NO_HASHES, stable_hash
from features.moments import Moment
from features.offline.store import OfflineStore
from features.offline.tables import SCHEMAS
from models import train_command
from models.__main__ import cli
from models.arrays import Array
from models.baskets import companions
from models.bundle import read_bundle, write_bundle
from models.code_revision import code_revision
from models.manifest import read_manifest
from models.model import Model
from models.orders import Kept
from models.parts import LEARNT_UNTIL_MS, Parts
from models.reference.scores import SCORES
from models.registry import Registry
from models.request import Filters, RankRequest
from models.signature import TrustedKeys, make_keys
from models.stages import Stages
from models.train_command import _place
from models.training import STEPS, train
from models.validated import VALIDATED
from tests.support.process import ROOT

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a demo shop."""
    home = tmp_path_factory.mktemp("shop")
    simulate(OfflineStore(home), World(20_000, 0, UNTIL))
    return home


@pytest.fixture(scope="module")
def parts(shop: Path) -> Parts:
    """Return what was trained on the demo shop."""
    return train(OfflineStore(shop))


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    columns = SCHEMAS[name].names
    return pa.Table.from_pylist(
        [{column: row.get(column) for column in columns} for row in rows], SCHEMAS[name]
    )


def _store(home: Path, items: int, bought: list[tuple[str, int]]) -> OfflineStore:
    """Return a store of `items` items, and of purchases (shopper, item) a day after another."""
    store = OfflineStore(home)
    store.put_items(
        _table(
            "items",
            [
                {"item_id": f"item-{row}", "category": "Red", "price": 9.0, "in_stock": True}
                for row in range(items)
            ],
        )
    )
    events = [
        {
            "event_id": f"event-{row}",
            "type": "purchase",
            "user_id": user,
            "item_id": f"item-{item}",
            "timestamp": datetime.fromtimestamp(1_700_000_000 + 86_400 * row, UTC),
            "arrived_at": datetime.fromtimestamp(1_700_000_000 + 86_400 * row, UTC),
            "value": 9.0,
        }
        for row, (user, item) in enumerate(bought)
    ]
    if events:
        store.append_events(_table("events", events).to_batches())
    return store


def test_the_model_beats_what_costs_nothing(parts: Parts) -> None:
    """On the demo shop, whose tastes can be learnt, it clearly beats plain popularity."""
    told = parts.metrics
    assert told["model"]["ndcg@10"] > 1.5 * told["popularity"]["ndcg@10"]
    assert told["model"]["ndcg@10"] > told["segment_popularity"]["ndcg@10"]
    assert parts.parameters["taste"] is not None
    assert parts.parameters["order"] in {each.value for each in Kept}
    assert (parts.parameters["trees"] > 0) == (parts.parameters["order"] == "trees")


def test_parts_make_a_bundle_that_serves(parts: Parts, tmp_path: Path) -> None:
    """What training hands over is written, read, and knows its example shopper."""
    model = read_bundle(tmp_path / write_bundle(tmp_path, parts))
    assert model.is_personal
    assert model.example_user is not None
    assert model.shared_segment(model.example_user, None) > 0
    assert len(model.popular(0, NO_HASHES, Filters(), 10).rows) == 10


def test_baskets_are_learnt(parts: Parts, shop: Path) -> None:
    """What is bought together is part of what training hands to serving."""
    store = OfflineStore(shop)
    told = companions(store.event_log(), store.catalogue())
    assert parts.companions is not None
    assert told is not None
    assert len(told.rows) > 100
    assert parts.companions.rows.tolist() == told.rows.tolist()


def test_equal_data_and_seed_give_equal_parts(parts: Parts, shop: Path, tmp_path: Path) -> None:
    """The content of the bundle, and so its version, is the same."""
    steps: list[str] = []
    again = train(OfflineStore(shop), step=steps.append)
    # Its moment is part of a version: one moment for both, and a directory for each.
    one = write_bundle(tmp_path / "one", parts, UNTIL)
    assert write_bundle(tmp_path / "other", again, UNTIL) == one
    assert 0 < len(steps) <= STEPS


def test_the_number_of_cores_decides_nothing(tmp_path: Path) -> None:
    """Sums that threads divide come out otherwise: whatever there is, algebra keeps to one."""
    _store(tmp_path, 5, [("ann", 3)])
    seen: set[int] = set()

    def look(_: str) -> None:
        seen.update(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")

    with threadpool_limits(2):
        train(OfflineStore(tmp_path), step=look)
        look("")
    assert seen == {1, 2}
    seen.clear()
    with threadpool_limits(2):
        train(OfflineStore(tmp_path), step=look)
    assert seen == {1}


def test_what_was_normal_comes_along(parts: Parts) -> None:
    """Every feature and the country of those who came in the last weeks; figures are JSON."""
    assert parts.reference is not None
    assert list(parts.reference.values) == [*FEATURE_NAMES, *SCORES, "country"]
    assert (~np.isnan(parts.reference.values[SCORES[0]])).mean() > 0.5  # all with a history
    assert len(parts.reference) > 1_000
    assert json.dumps(dict(parts.metrics))
    assert json.dumps(dict(parts.parameters))


@pytest.mark.parametrize(
    ("items", "bought"),
    [
        (5, []),
        (1, [("ann", 0)]),
        (8, [("ann", item) for item in range(8)]),
        (30, [(f"shopper-{row}", row) for row in range(30)]),
    ],
    ids=["no events", "one purchase", "one shopper", "nothing bought twice"],
)
def test_too_little_to_learn_from_is_no_error(
    items: int, bought: list[tuple[str, int]], tmp_path: Path
) -> None:
    """There is nothing personal, but a bundle that knows what is popular."""
    parts = train(_store(tmp_path, items, bought))
    assert parts.personal is None
    model = read_bundle(tmp_path / "models" / write_bundle(tmp_path / "models", parts))
    assert len(model.popular(0, NO_HASHES, Filters(), items).rows) == items
    assert (parts.example_user is None) == (not bought)


def test_popular_items_come_first_however_few_events(tmp_path: Path) -> None:
    """Two purchases outrank one."""
    parts = train(_store(tmp_path, 5, [("ann", 3), ("ben", 3), ("ben", 2)]))
    listed = Model(parts).popular(0, NO_HASHES, Filters(), 2)
    assert [parts.items.item_ids[row] for row in listed.rows] == ["item-3", "item-2"]


LITTLE: dict[str, tuple[int, list[tuple[str, int]]]] = {
    "one item that all bought": (1, [(f"shopper-{row}", 0) for row in range(40)]),
    "fewer shoppers than a list is long": (
        12,
        [(f"shopper-{row}", item) for row in range(3) for item in range(12)],
    ),
    "two items that all bought": (
        2,
        [(f"shopper-{row}", item) for row in range(40) for item in range(2)],
    ),
    "all that anybody bought is the same": (
        30,
        [(f"shopper-{row}", item) for row in range(60) for item in range(6)],
    ),
    "each item as often as any other": (
        30,
        [(f"shopper-{row}", row * step % 30) for row in range(60) for step in (1, 7)],
    ),
}


@pytest.mark.parametrize("case", LITTLE)
def test_little_or_uniform_data_make_a_model_that_answers(case: str, tmp_path: Path) -> None:
    """No error, no score that is no number, and whatever may be shown is."""
    items, bought = LITTLE[case]
    parts = train(_store(tmp_path, items, bought))
    model = read_bundle(tmp_path / "models" / write_bundle(tmp_path / "models", parts))
    model.warm()
    assert len(model.popular(0, NO_HASHES, Filters(), 10).rows) == min(items, 10)
    records = np.zeros(1, RECORD)
    records["item"] = stable_hash("item-0")
    records["tag"] = TYPE_CODES[EventType.CLICK]
    (ranking,) = model.rank(model.batch([RankRequest("new", records, NO_RECORDS, Moment(9), 10)]))
    assert (ranking.listed is not None) == (parts.personal is not None)
    if ranking.listed is not None:
        assert len(ranking.listed.rows) == min(items, 10)
        assert np.isfinite(ranking.listed.scores).all()
    assert "model" not in parts.metrics


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_to_the_same_bytes(
    shop: Path, parts: Parts, tmp_path: Path
) -> None:
    """What was read and cut before is not made again, and the model is as if nothing happened."""
    home = tmp_path / "home"
    shutil.copytree(shop / "offline", home / "offline")
    command = [sys.executable, "-m", "models", "train"]
    environment = os.environ | {"CUVEE_HOME": str(home)}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as killed:
        while not [*home.glob("training/*/examples-*")]:
            assert killed.poll() is None
            time.sleep(0.01)
        killed.kill()
    assert Registry(home).manifests() == []
    made = {path.name: path.stat().st_mtime_ns for path in home.glob("training/*/[!.]*")}
    assert {"log", "pairs", "split-0.8", "split-0.9"} <= made.keys()
    again: list[str] = []
    written = Stages._write

    def told(self: Stages, path: Path, arrays: Mapping[str, Array]) -> None:
        again.append(path.name)
        written(self, path, arrays)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stages, "_write", told)
        code, output = _run(home, "train")
    assert code == 0, output
    assert not made.keys() & set(again)
    assert [*home.glob("training/[!.]*")] == []
    expected = read_manifest(tmp_path / "one" / write_bundle(tmp_path / "one", parts)).files
    assert Registry(home).manifest("production").files == expected


def test_an_empty_catalogue_is_the_users_to_mend(tmp_path: Path) -> None:
    """The error says what to do."""
    with pytest.raises(InputError, match="ingest"):
        train(OfflineStore(tmp_path))


def _run(home: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, words, env={"CUVEE_HOME": str(home)})
    return result.exit_code, result.output


def test_train_promotes_its_first_model_and_is_idle_when_fresh(tmp_path: Path) -> None:
    """The first model serves whatever it is worth; with the same data there is nothing to do."""
    _store(tmp_path, 5, [("ann", 3), ("ben", 3)])
    code, output = _run(tmp_path, "train")
    version = Registry(tmp_path).production()
    assert (code, output.split()[:2]) == (0, [version, "production"])
    why = next(Registry(tmp_path).history()).why
    assert why == "trained: too few shoppers to judge it"
    code, output = _run(tmp_path, "train", "--if-stale")
    assert (code, "nothing to do" in output) == (0, True)
    assert len(Registry(tmp_path).manifests()) == 1


def test_train_if_stale_trains_on_new_data(tmp_path: Path) -> None:
    """An event more makes the model stale, and an unjudged successor serves."""
    _store(tmp_path, 5, [("ann", 3)])
    assert _run(tmp_path, "train")[0] == 0
    before = Registry(tmp_path).production()
    _store(tmp_path, 5, [("ann", 3), ("ben", 2)])
    assert _run(tmp_path, "train", "--if-stale")[0] == 0
    assert Registry(tmp_path).production() != before
    assert Registry(tmp_path).previous() == before


def test_tidied_tables_are_no_new_data(tmp_path: Path) -> None:
    """Neither for the model of them, nor for a training that was killed before."""
    _store(tmp_path, 5, [("ann", 3)])
    store = _store(tmp_path, 5, [("ann", 3), ("ben", 2)])
    written = Stages._write
    stages: list[str] = []

    def killed(self: Stages, path: Path, arrays: Mapping[str, Array]) -> None:
        written(self, path, arrays)
        stages.append(path.name)
        if len(stages) == 1:
            _killed()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stages, "_write", killed)
        assert _run(tmp_path, "train")[0] != 0
        store.tidy()
        code, output = _run(tmp_path, "train")
    assert (code, stages.count(stages[0])) == (0, 1), output

    store.tidy(timedelta(0))
    (manifest,) = Registry(tmp_path).manifests()
    assert manifest.dataset_version != store.version()
    assert "nothing to do" in _run(tmp_path, "train", "--if-stale")[1]
    assert "data came since" not in _run(tmp_path, "train", "--if-missing")[1]
    _store(tmp_path, 5, [("ann", 3), ("ben", 2), ("cid", 1)])
    assert "data came since" in _run(tmp_path, "train", "--if-missing")[1]


def test_a_model_that_was_made_and_not_told_of_is_told(tmp_path: Path) -> None:
    """Who trains may die before the result is printed: asked again, it is found and not made anew.

    What was measured against another model, or by another margin, is made anew.
    """
    _store(tmp_path, 5, [("ann", 3)])
    assert _run(tmp_path, "train")[0] == 0
    registry = Registry(tmp_path)
    serving = registry.production()
    _store(tmp_path, 5, [("ann", 3), ("ben", 2)])
    words = ("train", "--if-stale", "--no-promote", "--json", "--against")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_command, "write_report", _killed)
        assert _run(tmp_path, *words, "production")[0] != 0
    made = registry.candidate()
    assert made is not None
    told = json.loads(_run(tmp_path, *words, "production")[1])
    assert (told["version"], told["role"]) == (made, "candidate")
    assert told[VALIDATED] == registry.manifest(made).metrics[VALIDATED]
    assert told[VALIDATED]["incumbent"] == serving
    assert registry.manifest(str(serving)).parameters[LEARNT_UNTIL_MS] == 1_700_000_000_001
    text = _run(tmp_path, "train", "--if-stale", "--against", "production")[1]
    assert text.startswith(f"{made} of what is stored waits as candidate: cannot be compared")
    text = _run(tmp_path, "train", "--if-stale")[1]
    assert text.startswith(f"{made} of what is stored waits as candidate, nothing to do: CUVEE_HO")
    assert len(registry.manifests()) == 2
    assert _run(tmp_path, *words, "production", "--margin", "0.5")[0] == 0
    assert registry.candidate() != made


def test_a_page_that_cannot_be_written_takes_no_model_with_it(tmp_path: Path) -> None:
    """The model serves and is told of; what came of the page is a warning."""
    _store(tmp_path, 5, [("ann", 3)])
    (tmp_path / "reports").touch()
    done = CliRunner().invoke(cli, ["train", "--json"], env={"CUVEE_HOME": str(tmp_path)})
    version = Registry(tmp_path).production()
    assert (done.exit_code, json.loads(done.stdout)["version"]) == (0, version)
    assert f"not written: File exists; python -m models report {version} makes it" in done.stderr


def _killed(*_: object) -> None:
    raise SystemExit(-9)


def test_no_promote_leaves_a_candidate(tmp_path: Path) -> None:
    """What serves stays, the new model waits."""
    _store(tmp_path, 5, [("ann", 3)])
    code, output = _run(tmp_path, "train", "--no-promote")
    registry = Registry(tmp_path)
    assert (code, output.split()[1]) == (0, "candidate")
    assert registry.production() is None
    assert registry.candidate() == output.split()[0]


def _figures(*, better: bool) -> dict[str, Any]:
    return {"model": {"ndcg@10": 0.1}, "beats_segments": better}


_NOBODY_JUDGED: dict[str, Any] = {}
_IMPORTED = {"imported": {"file": "mine.onnx"}}


@pytest.mark.parametrize(
    ("present", "its", "new", "role"),
    [
        (_figures(better=True), {}, _figures(better=False), "candidate"),
        (_figures(better=True), {}, _figures(better=True), "production"),
        (_figures(better=False), {}, _figures(better=False), "production"),
        (_figures(better=False), {}, _NOBODY_JUDGED, "candidate"),
        (_NOBODY_JUDGED, {}, _figures(better=False), "production"),
        (_NOBODY_JUDGED, {}, _NOBODY_JUDGED, "production"),
        (_NOBODY_JUDGED, _IMPORTED, _figures(better=False), "candidate"),
        (_NOBODY_JUDGED, _IMPORTED, _figures(better=True), "production"),
        (_NOBODY_JUDGED, _IMPORTED, _NOBODY_JUDGED, "candidate"),
    ],
)
def test_what_beats_segments_stays_and_what_does_not_gives_way(
    tmp_path: Path,
    present: dict[str, Any],
    its: dict[str, Any],
    new: dict[str, Any],
    role: str,
) -> None:
    """A model knows items and stock as of its data: what is worth no more would grow old."""
    registry = Registry(tmp_path)
    parts = train(_store(tmp_path, 5, [("ann", 3)]))
    first = replace(parts, metrics=present, parameters=its)
    version = write_bundle(tmp_path / "models", first)
    assert _place(registry, version, first, promote=True) == "production"
    second = replace(parts, metrics=new, parameters={"seed": 9})
    version = write_bundle(tmp_path / "models", second)
    assert _place(registry, version, second, promote=True) == role


def test_that_one_waits_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it serves the shop's items and stock are those of the older data."""
    _store(tmp_path, 5, [("ann", 3)])
    code, output = _run(tmp_path, "train")
    assert (code, "warning" in output) == (0, False)
    _store(tmp_path, 5, [("ben", 3)])
    monkeypatch.setattr("models.train_command._deserves", lambda *_: False)
    code, output = _run(tmp_path, "train")
    registry = Registry(tmp_path)
    assert (code, registry.candidate() is None) == (0, False)
    assert f"warning: {registry.production()} serves on, with the items that it was" in output
    assert f"CUVEE_HOME={tmp_path} python -m models promote candidate lets this one" in output


def test_a_trained_model_tells_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code, data, the model that served, and with a key who made it."""
    private, public, key = make_keys(tmp_path / "keys")
    monkeypatch.setenv("CUVEE_MODEL_PRIVATE_KEY", str(private))
    monkeypatch.setenv("CUVEE_MODEL_PUBLIC_KEY", str(public))
    versions = []
    for bought in (3, 2):
        _store(tmp_path, 5, [("ann", 3), ("ben", bought)])
        assert _run(tmp_path, "train")[0] == 0
        versions.append(Registry(tmp_path).production())
    manifest = Registry(tmp_path, TrustedKeys.of_file(public)).manifest("production")
    assert (manifest.parent, manifest.code_revision) == (versions[0], code_revision())
    assert manifest.signature is not None
    assert manifest.signature.key == key


def test_a_shared_registry_that_is_away_keeps_no_model_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was trained waits here as candidate, and the reason is told."""
    (tmp_path / "shared").write_text("no directory")
    monkeypatch.setenv("CUVEE_REGISTRY", str(tmp_path / "shared"))
    _store(tmp_path, 5, [("ann", 3)])
    code, output = _run(tmp_path, "train")
    assert code == 0
    assert output.startswith(f"warning: {tmp_path}/shared: ")
    registry = Registry(tmp_path)
    assert (registry.production(), registry.candidate() is None) == (None, False)
    (tmp_path / "shared").unlink()
    assert _run(tmp_path, "promote", str(registry.candidate()))[0] == 0
    assert Registry(tmp_path).production() == registry.production()


def test_nothing_to_train_on_ends_with_two(tmp_path: Path) -> None:
    """One line on stderr, no traceback."""
    code, output = _run(tmp_path, "train")
    assert code == 2
    assert output.startswith(f"error: no items to train on in {tmp_path}: take ")
