"""A home beside a home: it knows the same, and what is sent to it is gone with it.

locked ─ tables, models, who is forgotten ─ materialized into a Valkey of its own
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from features.errors import InputError
from features.home import LOAD_TEST
from features.lock import locked
from features.scratch import scratch_folder
from models.directory import UNFINISHED

_ROOMS = ("offline", "models", "forgotten")
_NEVER_CHANGED = {".parquet", ".npy", ".onnx"}
_HELD_BACK = 3
"""That of `QuarantinedError`, which is not imported: it brings polars along."""


@contextmanager
def spare_home(home: Path) -> Iterator[Path]:
    """Give a home that knows what `home` does, on the same disk, and remove it after.

    Raises `InputError` where there is no home, it cannot be copied, or its shoppers cannot be
    brought online.
    """
    if not home.is_dir():
        raise InputError(f"there is no home {home}: make ready makes one")
    with scratch_folder(home.absolute(), LOAD_TEST) as spare:
        try:
            _copy(home, spare)
        except OSError as error:
            raise InputError(f"the home cannot be copied: {error}") from None
        if (spare / "offline").is_dir():
            _materialize(spare)
        yield spare


def spare_variables(home: Path) -> dict[str, str]:
    """Return what a process is told to keep to a spare home: no store or registry of others."""
    return {"CUVEE_HOME": str(home), "CUVEE_REDIS_URL": "", "CUVEE_REGISTRY": ""}


def _copy(home: Path, spare: Path) -> None:
    """Copy what a service reads, but for models that are being written."""
    tables, unfinished = home / "offline", shutil.ignore_patterns(f"{UNFINISHED}*")
    with locked(tables) if tables.is_dir() else nullcontext():
        for room in filter(Path.is_dir, (home / name for name in _ROOMS)):
            shutil.copytree(room, spare / room.name, ignore=unfinished, copy_function=_linked)


def _linked(source: str, target: str) -> None:
    """Link what never changes, where the disk can; copy the rest."""
    if Path(source).suffix in _NEVER_CHANGED:
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


def _materialize(home: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "features", "materialize", "--rate", "0"),
        env=os.environ | spare_variables(home),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, _HELD_BACK}:
        raise InputError(f"shoppers cannot be brought online: {done.stderr.strip()}")
