"""Folders for what is not whole yet: there while in use, and swept once nobody uses them."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.scratch import LOCK, WORK, scratch_folder
from tests.support.abandoned import abandoned


def test_it_is_there_for_as_long_as_it_is_used(tmp_path: Path) -> None:
    """Whatever happens in it; what was moved out stays."""
    with scratch_folder(tmp_path, ".set.") as folder:
        (folder / "whole").write_text("told")
        (folder / "whole").replace(tmp_path / "whole")
        (folder / "half").mkdir()
    with pytest.raises(ValueError, match="in it"), scratch_folder(tmp_path, ".set.") as folder:
        raise ValueError("in it")

    assert [each.name for each in tmp_path.iterdir()] == ["whole"]


def test_what_the_killed_left_is_removed(tmp_path: Path) -> None:
    """By the next one of the same prefix, and nothing else is."""
    program = f"""
import os, signal
from pathlib import Path
from features.scratch import LOCK, WORK, scratch_folder
from tests.support.abandoned import abandoned
with scratch_folder(Path({str(tmp_path)!r}), ".set.") as folder:
    (folder / "half").write_text("told")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    (tmp_path / ".set.mine").mkdir()
    (tmp_path / ".set.bak").write_text("mine too")
    (left,) = tmp_path.glob(".set.*/work/half")

    with scratch_folder(tmp_path, ".other."):
        assert left.exists()
    with scratch_folder(tmp_path, ".set."):
        assert not left.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == [".set.bak", ".set.mine"]


def test_the_lock_tells_of_what_is_being_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until nothing is left in the folder: who is killed at it leaves nothing that nobody finds."""
    left = abandoned(tmp_path, ".set.")
    found = []

    def look(path: Path | str, **_: object) -> None:
        found.append({each.name for each in Path(path).parent.iterdir()})

    monkeypatch.setattr("features.scratch.shutil.rmtree", look)
    with scratch_folder(tmp_path, ".set."):
        pass
    assert found[0] == found[2] == {LOCK, WORK}
    assert left.exists()


def test_nobody_removes_what_is_in_use(tmp_path: Path) -> None:
    """Many at once, each with a folder of its own."""

    def use(number: int) -> str:
        with scratch_folder(tmp_path, ".set.") as folder:
            path = folder / "told"
            path.write_text(str(number))
            with scratch_folder(tmp_path, ".set."):
                return path.read_text()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(100))) == [str(n) for n in range(100)]
    assert not list(tmp_path.iterdir())
