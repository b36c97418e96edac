"""What a load test sends leaves nothing in the home that it is about."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.demo_shop.simulate import World, simulate
from features.errors import InputError
from features.offline.store import OfflineStore
from loadtests.bench.shop import promote, shop_parts
from loadtests.spare_home import spare_home
from models.directory import UNFINISHED

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with events and a model."""
    home = tmp_path / "home"
    simulate(OfflineStore(home), World(1_000, 1, datetime(2026, 1, 1, tzinfo=UTC)))
    promote(home, shop_parts(300))
    return home


def _files(home: Path) -> set[tuple[str, int]]:
    return {
        (str(each.relative_to(home)), each.stat().st_size)
        for each in home.rglob("*")
        if each.is_file() and each.name != ".lock"
    }


def test_made_up_events_are_nobodys(home: Path) -> None:
    """The tables, the models and the store are those of before."""
    before = _files(home)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "loadtests", "run"),
            *("--home", str(home), "--time-scale", "0.05"),
        ],
        cwd=ROOT,
        env=os.environ | {"CUVEE_REDIS_URL": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "events" in done.stdout, done.stderr
    assert _files(home) == before


def test_a_spare_home_knows_the_same_and_goes(home: Path) -> None:
    """Large files are linked: a shop is not on the disk twice."""
    with spare_home(home) as spare:
        assert OfflineStore(spare).version() == OfflineStore(home).version()
        (table,) = (spare / "offline/items").glob("*.parquet")
        assert table.stat().st_nlink == 2
        assert (spare / "valkey").is_dir()
    assert [each for each in home.iterdir() if each.name.startswith(".loadtest-")] == []


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    """It is not made."""
    with pytest.raises(InputError, match="there is no home"), spare_home(tmp_path / "no"):
        pytest.fail("it is not there")
    assert not (tmp_path / "no").exists()


def test_a_home_is_found_from_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service is started in another directory than the one that a path begins in."""
    monkeypatch.chdir(home.parent)
    with spare_home(Path(home.name)) as spare:
        assert spare.is_absolute()
        assert OfflineStore(spare).version() == OfflineStore(home).version()


def test_a_model_that_is_being_written_is_left_out(home: Path) -> None:
    """It may be gone while it is copied."""
    unfinished = home / "models" / f"{UNFINISHED}x"
    unfinished.mkdir()
    with spare_home(home) as spare:
        assert (spare / "models").is_dir()
        assert not (spare / "models" / unfinished.name).exists()


def test_a_home_that_cannot_be_copied(home: Path) -> None:
    """Says so, and leaves nothing; it is not as if an objective was missed."""
    (home / "models" / "gone").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"cannot be copied: .*gone"), spare_home(home):
        pytest.fail("it cannot be copied")
    assert [each for each in home.iterdir() if each.name.startswith(".loadtest-")] == []
