"""What a training made so far: arrays by stage, on disk, so that one that was killed goes on.

CUVEE_HOME/training/KEY/STAGE/NAME.npy

The key is of the data, of who was forgotten, of the seed and of the code: under another key
nothing is used. A stage is there whole or not at all. What is read is mapped, so that the kernel
may take its memory back.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np

from features.errors import InputError
from features.home import TRAINING
from features.whole_file import named
from models.arrays import Array, map_array
from models.directory import new_directory

Arrays = Mapping[str, Array]


class Stages:
    """The stages of one training, in a folder; in memory where there is none."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use what is in `folder`; nothing is made before the first stage."""
        self._folder = folder

    def arrays(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of a stage, read-only; `make` is called where they are not there yet.

        Raises `OSError` where the disk does not take them.
        """
        if self._folder is None:
            return make()
        path = self._folder / name
        if not path.is_dir():
            self._write(path, make())
        with suppress(ValueError):
            if told := {each.stem: map_array(each) for each in sorted(path.glob("*.npy"))}:
                return told
        return make()  # somebody was forgotten meanwhile, and this with them

    def _write(self, path: Path, arrays: Arrays) -> None:
        with new_directory(path) as unfinished:
            for name, array in arrays.items():
                _write_array(unfinished / f"{name}.npy", path / f"{name}.npy", array)


def _write_array(unfinished: Path, path: Path, array: Array) -> None:
    """Write what is to be `path`; numpy's own writing would not tell that a disk is full."""
    whole = np.ascontiguousarray(array)
    with named(path), unfinished.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(whole)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(whole.reshape(-1).view(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def kept_stages(home: Path, *told: object) -> Iterator[Stages]:
    """Give the stages of a training of which `told` says all that it depends on.

    They are removed where the block ends well, those of other trainings before it begins. Raises
    `InputError` where another training of this home is under way.
    """
    root = home / TRAINING
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        _take(lock, root)
        folder = root / sha256(repr(told).encode()).hexdigest()[:16]
        for other in root.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)
        yield Stages(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _take(lock: IO[str], root: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{root.parent}: another training is under way there") from None
