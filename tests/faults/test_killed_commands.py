"""Commands over the tables killed at any moment: nothing by halves, and the next run ends it."""

import random
import shutil
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from redis import Redis

from features.datasets.dataset import Reference, checksum_of
from features.datasets.datasets import Datasets
from features.offline.store import OfflineStore
from features.online import keys
from features.online.embedded import EmbeddedValkey
from features.online.store import ShopperQuery
from features.online.valkey_store import ValkeyStore
from features.shelf import shelf_path
from tests.support.forked import Features
from tests.support.shop import JOIN, export, litter, rows

KILLS = 4


def taken(features: Features, home: Path, *words: object) -> float:
    """Run a command undisturbed and return how many seconds it took."""
    begun = time.monotonic()
    assert features.run(home, *words) == 0, features.told()
    return time.monotonic() - begun


@pytest.mark.slow
def test_ingest(features: Features, shop: Path, tmp_path: Path) -> None:
    """Each table is as before or as after; then all are as after, and nothing else is left."""
    told = rows(shop)
    before = {name: table.head(len(table) // 2) for name, table in told.items()}
    before["items"] = told["items"].with_columns(price=pl.col("price") * 1.01)
    before["users"] = before["users"].with_columns(country=pl.lit("XX"))
    old, new = export(before, tmp_path / "old"), export(told, tmp_path / "new")
    assert features.run(tmp_path / "begun", "ingest", "--data", old) == 0, features.told()
    before = rows(tmp_path / "begun")
    shutil.copytree(tmp_path / "begun", tmp_path / "undisturbed")
    longest_s = taken(features, tmp_path / "undisturbed", "ingest", "--data", new)
    after, rng = rows(tmp_path / "undisturbed"), random.Random(1)

    for number in range(KILLS - 1):
        home = shutil.copytree(tmp_path / "begun", tmp_path / f"home{number}")
        features.kill(rng.random() * longest_s, home, "ingest", "--data", new)
        for name, seen in rows(home).items():
            assert seen.equals(before[name]) or seen.equals(after[name]), name
        assert features.run(home, "ingest", "--data", new) == 0, features.told()
        assert all(seen.equals(after[name]) for name, seen in rows(home).items())
        assert shelf_path(home).read_bytes() == shelf_path(tmp_path / "undisturbed").read_bytes()
        assert litter(home / "offline") == litter(home / "quality") == []
        assert OfflineStore(home).scan("user_changes").collect()["user_id"].is_unique().all()
        OfflineStore(home).tidy(timedelta(0))
        for name, _, files in OfflineStore(home).files():
            lying = {each.name for each in (home / "offline" / name).iterdir()}
            assert lying == {"_delta_log", *(path for path, _ in files)}, name


def test_training_set(features: Features, shop: Path, tmp_path: Path) -> None:
    """The file is the one of before or the whole new one; then the new one, and alone."""
    out, rng = tmp_path / "set.parquet", random.Random(2)
    assert features.run(shop, "training-set", *JOIN, "--mask", "--out", out) == 0, features.told()
    before = out.read_bytes()
    other = tmp_path / "undisturbed.parquet"
    longest_s = taken(features, shop, "training-set", *JOIN, "--out", other)
    after = other.read_bytes()
    other.unlink()

    for _ in range(KILLS):
        features.kill(rng.random() * longest_s, shop, "training-set", *JOIN, "--out", out)
        assert out.read_bytes() in {before, after}
    assert features.run(shop, "training-set", *JOIN, "--out", out) == 0, features.told()

    assert out.read_bytes() == after
    assert [each.name for each in tmp_path.iterdir()] == [out.name]


def test_dataset(features: Features, shop: Path, tmp_path: Path) -> None:
    """Versions are there whole or not at all, and of the same bytes; no part of one is left."""
    home, rng = shutil.copytree(shop, tmp_path / "home"), random.Random(3)
    longest_s = taken(features, home, "dataset", "create", "paid", *JOIN)
    datasets = Datasets(home)
    whole = datasets.get(Reference("paid"))

    for _ in range(KILLS):
        features.kill(rng.random() * longest_s, home, "dataset", "create", "paid", *JOIN)
        for each in datasets.all():
            assert each.checksum == checksum_of(datasets.path(each.reference)) == whole.checksum
    assert features.run(home, "dataset", "create", "paid", *JOIN) == 0, features.told()

    last = datasets.get(Reference("paid"))
    assert last.version == len(datasets.all()) > 1
    assert (last.rows, last.checksum, last.statistics) == (
        whole.rows, whole.checksum, whole.statistics,
    )  # fmt: skip
    assert litter(home / "datasets") == []


async def online(home: Path) -> tuple[list[object], set[bytes]]:
    """Return what is online of each shopper of the tables, and all keys there are."""
    users = OfflineStore(home).scan("users").select("user_id").collect()["user_id"].sort()
    with EmbeddedValkey(home) as server, Redis.from_url(server.url) as raw:
        store = ValkeyStore(server.url)
        states = [each.state for each in await store.read([ShopperQuery(u, "b") for u in users])]
        await store.close()
        return [(s.recent.tolist(), s.history.tolist(), s.profile) for s in states], {*raw.keys()}


async def test_materialize(features: Features, shop: Path, tmp_path: Path) -> None:
    """Online is what an undisturbed run brings, though events come in between the kills."""
    home, rng = shutil.copytree(shop, tmp_path / "home"), random.Random(4)
    paid = OfflineStore(home).scan("events").filter(type="purchase").collect()
    later = paid.with_columns(event_id="later-" + pl.col("event_id"))  # as usual: not held back
    whole = shutil.copytree(home, tmp_path / "undisturbed")
    OfflineStore(whole).append_events(later.to_arrow())
    longest_s = taken(features, whole, "materialize", "--rate", "500")
    expected = await online(whole)

    for number in range(KILLS):
        features.kill(rng.random() * longest_s, home, "materialize", "--rate", "500")
        if number == KILLS // 2:
            OfflineStore(home).append_events(later.to_arrow())
    assert features.run(home, "materialize", "--rate", "0") == 0, features.told()

    states, there = await online(home)
    assert states == expected[0]
    assert there == expected[1]
    assert keys.MATERIALIZING not in there
