"""A directory that appears whole or not at all, whatever happens while it is written."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.whole_file import named, replacing

UNFINISHED = ".writing-"
"""How names begin of what is not whole yet, or not any more."""

_ABANDONED_S = 3_600.0
"""Age from which an unfinished directory is what a killed process left behind."""


@contextmanager
def new_directory(path: Path, *, anew: bool = False) -> Iterator[Path]:
    """Yield an empty directory that becomes `path` at the end, on the disk before this returns.

    Where the block or the disk raises, nothing is left. A `path` that is there already is left
    as it is; with `anew` its place is taken before its files go, so that whoever is killed leaves
    one, and whoever has them open keeps them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        sync_directory(unfinished)
        if not path.exists():
            unfinished.rename(path)
            _keep(path)
        elif anew:
            with _aside(path):
                unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def remove_directory(path: Path) -> None:
    """Remove a directory in one step for whoever looks, then its files."""
    with _aside(path):
        pass


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in the place of what `path` holds: readers see the old or the new, whole.

    Callers see to it that no other does so at the same time.
    """
    with replacing(path) as fresh:
        write_file(fresh, content)
    sync_directory(path.parent)


def copy_file(source: Path, path: Path) -> None:
    """Let `path` hold what `source` does, whole or not at all, however many copy at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)
    fresh = Path(name)
    try:
        with source.open("rb") as content, os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o644)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_directory(path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a file and bring it to the disk; an `OSError` names it."""
    with named(path), path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _aside(path: Path) -> Iterator[None]:
    """Let another come to the place of a directory, then remove its files, or put it back."""
    leaving = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent)) / path.name
    path.rename(leaving)
    try:
        yield
    except OSError:
        leaving.rename(path)
        leaving.parent.rmdir()
        raise
    sync_directory(path.parent)
    shutil.rmtree(leaving.parent)


def _keep(path: Path) -> None:
    try:
        sync_directory(path.parent)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _sweep(directory: Path) -> None:
    """Remove what processes that were killed left unfinished."""
    for path in directory.glob(f"{UNFINISHED}*"):
        with suppress(FileNotFoundError):  # another process was quicker
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(path, ignore_errors=True)
