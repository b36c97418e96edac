"""Commands over the tables where the disk is full: a line says so, and nothing by halves is left.

No file may get longer than so many bytes; and, where one may be mounted, a disk that is full.
"""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from features.datasets.dataset import Reference, checksum_of
from features.datasets.datasets import Datasets
from features.ids import stable_hash
from features.offline.store import OfflineStore
from models.canary import Canary
from models.canary_counts import CANARY, REQUESTS, CanaryCounter, read_counts
from models.canary_exchange import tell_counts
from models.storage import Directory
from tests.support.forked import Features
from tests.support.shop import JOIN, export, litter, rows

LIMITS = (3_000, 60_000)
"""Bytes of a file: what fails first is another each time."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a small disk."""
    path = tmp_path / "disk"
    path.mkdir()
    if not mounted(path, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        pytest.skip("no disk may be mounted here: only the length of files is limited")
    yield path
    subprocess.run(["umount", path], check=True)


def mounted(path: Path, *options: str) -> bool:
    """Mount something and tell whether that may be."""
    return not subprocess.run(
        ["mount", *options, path], check=False, capture_output=True
    ).returncode


def one_line(told: str, *words: str) -> bool:
    """Tell whether a command said in one line what was wrong."""
    return (
        told.startswith("error: ")
        and len(told.strip().splitlines()) == 1
        and all(word in told for word in words)
    )


@pytest.mark.parametrize("limit", LIMITS)
def test_ingest_of_long_files(features: Features, shop: Path, tmp_path: Path, limit: int) -> None:
    """The tables are as before, here empty; with room the same files are taken."""
    data, home = export(rows(shop), tmp_path / "data"), tmp_path / "home"

    assert features.run(home, "ingest", "--data", data, largest_file=limit) == 2
    assert one_line(features.told(), str(home), "File too large")
    assert OfflineStore(home).version() == "events@-,items@-,users@-"
    assert litter(home / "offline") == []

    assert features.run(home, "ingest", "--data", data) == 0, features.told()
    assert OfflineStore(home).count("events") == OfflineStore(shop).count("events")


@pytest.mark.slow
def test_ingest_on_a_full_disk(features: Features, shop: Path, tmp_path: Path, disk: Path) -> None:
    """While it grows each table is there whole or not at all; in the end all are, and alike."""
    data = export(rows(shop), tmp_path / "data")
    assert features.run(tmp_path / "undisturbed", "ingest", "--data", data) == 0
    after, size, failures = rows(tmp_path / "undisturbed"), 64, 0
    while features.run(disk, "ingest", "--data", data) != 0:
        failures += 1
        last = features.told().splitlines()[-1]  # a thread of delta-rs may tell of its end before
        assert one_line(last, "No space left on device"), features.told()
        assert "Traceback" not in features.told()
        for name, seen in rows(disk).items():
            assert seen.is_empty() or seen.equals(after[name]), name
        assert litter(disk / "offline") == []
        size *= 2
        assert mounted(disk, "-o", f"remount,size={size}k")

    assert failures >= 2
    assert all(seen.equals(after[name]) for name, seen in rows(disk).items())
    assert len(after["events"]) == OfflineStore(shop).count("events")


def test_training_set(features: Features, shop: Path, tmp_path: Path) -> None:
    """The file of before stays, and nothing lies beside it."""
    out = tmp_path / "set.parquet"
    assert features.run(shop, "training-set", *JOIN, "--out", out) == 0, features.told()
    whole = out.read_bytes()
    for limit in LIMITS:
        words = ("training-set", *JOIN, "--mask", "--out", out)
        assert features.run(shop, *words, largest_file=limit) == 2
        assert one_line(features.told(), str(out), "File too large"), features.told()
        assert [each.name for each in tmp_path.iterdir()] == [out.name]
        assert out.read_bytes() == whole


def test_training_set_on_a_full_disk(features: Features, shop: Path, disk: Path) -> None:
    """Likewise."""
    out = disk / "set.parquet"
    assert features.run(shop, "training-set", *JOIN, "--out", out) == 2
    assert one_line(features.told(), str(out), "No space left on device"), features.told()
    assert list(disk.iterdir()) == []


def test_dataset(features: Features, shop: Path, tmp_path: Path) -> None:
    """No version is there of what was not written whole; with room it is the first."""
    home = tmp_path / "home"
    OfflineStore(home).append_events(OfflineStore(shop).scan("events").collect().to_arrow())
    for limit in LIMITS:
        words = ("dataset", "create", "paid", *JOIN)
        assert features.run(home, *words, largest_file=limit) == 2
        assert one_line(features.told(), "File too large"), features.told()
        assert Datasets(home).names() == []
        assert litter(home / "datasets") == []

    assert features.run(home, "dataset", "create", "paid", *JOIN) == 0, features.told()
    made = Datasets(home).get(Reference("paid"))
    assert (made.version, made.checksum) == (1, checksum_of(Datasets(home).path(made.reference)))


def test_a_page_of_quality(features: Features, shop: Path, tmp_path: Path) -> None:
    """The page of before stays, and the error names what cannot be written."""
    page = tmp_path / "report.html"
    assert features.run(shop, "quality", "check", "--html", page) == 0, features.told()
    whole = page.read_bytes()

    assert features.run(shop, "quality", "check", "--html", page, largest_file=1_000) == 2
    assert one_line(features.told(), "report.html", "File too large"), features.told()
    assert [each.name for each in tmp_path.iterdir()] == [page.name]
    assert page.read_bytes() == whole


def test_a_trial_on_a_full_disk(disk: Path) -> None:
    """A worker without room for its counts counts for itself: no data.

    With room it is heard, and goes on to be where the disk is full later.
    """
    canary = Canary.begun("v2", 1, 0.5, automatic=True)

    def count() -> CanaryCounter:
        counter = CanaryCounter(disk, canary)
        for shopper in range(2_000):
            counter.add_shopper(CANARY, stable_hash(str(shopper)))
            counter.add(CANARY, shopper, REQUESTS)
        return counter

    assert not count().is_shared
    assert read_counts(disk, canary).total(CANARY, REQUESTS) == 0
    assert mounted(disk, "-o", "remount,size=512k")
    counter = count()
    assert counter.is_shared
    with suppress(OSError), (disk / "rest").open("wb", buffering=0) as rest:
        while rest.write(bytes(4_096)):
            pass
    counter.add(CANARY, 1, REQUESTS)
    counts = read_counts(disk, canary)
    assert (counts.total(CANARY, REQUESTS), counts.shoppers(CANARY) > 1_900) == (2_001, True)
    with pytest.raises(OSError, match="No space left"):
        tell_counts(Directory(disk / "shared"), disk, canary)
    assert read_counts(disk, canary).total(CANARY, REQUESTS) == 2_001
