"""Folders for what is not whole yet; those that the killed left behind are removed.

make ─ lock ─ work ─ move what is whole to its place ─ remove
one whose lock nobody holds is a dead process's: the kernel drops locks with their holder
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

LOCK, WORK = ".cuvee-lock", "work"


@contextmanager
def scratch_folder(root: Path, prefix: str) -> Iterator[Path]:
    """Give an empty folder in `root`, on the same disk as what it is for, and remove it after.

    Those of the same prefix that nobody uses any more are removed first.
    """
    sweep(root, prefix)
    with _own(root, prefix) as folder:
        work = folder / WORK
        work.mkdir()
        try:
            yield work
        finally:  # while the lock tells of it, should we be killed at it
            shutil.rmtree(work, ignore_errors=True)


def sweep(root: Path, prefix: str) -> None:
    """Remove the folders of a prefix in `root` that nobody uses any more, and all that is in them.

    Raises `OSError` where `root` cannot be read.
    """
    for lock in (path / LOCK for path in root.iterdir() if path.name.startswith(prefix)):
        with suppress(OSError), lock.open() as file:  # not ours, in use, or made this moment
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent / WORK, ignore_errors=True)
            shutil.rmtree(lock.parent, ignore_errors=True)


@contextmanager
def _own(root: Path, prefix: str) -> Iterator[Path]:
    while True:
        with (
            # Who sweeps may have come first.
            tempfile.TemporaryDirectory(
                prefix=prefix, dir=root, ignore_cleanup_errors=True
            ) as folder,
            (Path(folder) / LOCK).open("w") as lock,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_there(lock):
                yield Path(folder)
                return


def _is_there(lock: IO[str]) -> bool:
    """Tell whether nobody swept the file away between its making and its locking."""
    return os.fstat(lock.fileno()).st_nlink > 0
