"""What a training made so far: whole or not there, used again, gone when it is done."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from features.erasure import Erasure
from features.errors import InputError
from features.home import TRAINING
from features.offline.store import OfflineStore
from models.arrays import Array
from models.stages import Stages, kept_stages
from tests.support.limits import no_room


def some() -> Mapping[str, Array]:
    """Return what a stage holds."""
    return {"one": np.arange(5), "none": np.empty((0, 3), np.float32)}


def never() -> Mapping[str, Array]:
    """Fail, since it should be there."""
    raise AssertionError("made again")


def stopped(home: Path, *told: object) -> None:
    """Begin a training, and stop after its first stage."""
    with kept_stages(home, *told) as stages:
        stages.arrays("first", some)
        raise KeyboardInterrupt


def held(home: Path) -> set[str]:
    """Return the stages on disk."""
    return {path.name for path in (home / TRAINING).glob("[!.]*/[!.]*")}


def test_a_stage_is_made_once(tmp_path: Path) -> None:
    """The second time it is read, the same to the bit."""
    made = Stages(tmp_path).arrays("first", some)
    read = Stages(tmp_path).arrays("first", never)
    for name, array in some().items():
        np.testing.assert_array_equal(made[name], array)
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    assert not read["one"].flags.writeable


def test_without_a_folder_nothing_is_kept() -> None:
    """Who only measures writes nothing."""
    assert Stages().arrays("first", some)["one"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(AssertionError, match="made again"):
        Stages().arrays("first", never)


def test_what_fails_leaves_no_stage(tmp_path: Path) -> None:
    """The next one makes it."""
    with pytest.raises(AssertionError):
        Stages(tmp_path).arrays("first", never)
    assert list(tmp_path.iterdir()) == []
    assert len(Stages(tmp_path).arrays("first", some)) == 2


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    """By the name it was to have: the one it was written under is gone by then."""
    for numbers in (200, 100_000):  # what is met when it is flushed, and before
        with no_room(1_000), pytest.raises(OSError, match="File too large") as told:
            Stages(tmp_path).arrays("first", lambda: {"one": np.arange(numbers)})  # noqa: B023
        assert told.value.filename == str(tmp_path / "first" / "one.npy")
        assert list(tmp_path.iterdir()) == []


def test_a_stage_that_is_gone_or_damaged_is_made_anew(tmp_path: Path) -> None:
    """Nobody reads half of one."""
    stages = Stages(tmp_path)
    stages.arrays("first", some)
    (tmp_path / "first" / "one.npy").write_bytes(b"no array")
    assert stages.arrays("first", some)["one"].tolist() == [0, 1, 2, 3, 4]


def test_they_stay_until_the_training_is_done(tmp_path: Path) -> None:
    """One that is stopped finds them again; other data, or another seed, does not."""
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path, "events@1", 0)
    assert held(tmp_path) == {"first"}
    with kept_stages(tmp_path, "events@1", 0) as stages:
        stages.arrays("first", never)
    assert held(tmp_path) == set()
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path, "events@1", 0)
    with kept_stages(tmp_path, "events@1", 1) as stages:
        assert held(tmp_path) == set()
        stages.arrays("first", some)


def test_two_trainings_of_a_home_are_one_too_many(tmp_path: Path) -> None:
    """The second is told, and takes nothing from the first."""
    with kept_stages(tmp_path, "a") as stages:
        stages.arrays("first", some)
        with (
            pytest.raises(InputError, match="another training is under way"),
            kept_stages(tmp_path, "b"),
        ):
            raise AssertionError("two at once")
        assert held(tmp_path) == {"first"}


def test_forgetting_a_shopper_removes_what_was_made(tmp_path: Path) -> None:
    """It knew them; a training that goes on makes it anew."""
    store = OfflineStore(tmp_path)
    with kept_stages(tmp_path, "a") as stages:
        stages.arrays("first", some)
        Erasure(store).forget({"ann": 1})
        assert held(tmp_path) == set()
        assert len(stages.arrays("first", some)) == 2
