"""A directory that appears whole or not at all, whatever happens while it is written."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_UNFINISHED = ".writing-"
_ABANDONED_S = 3_600.0
"""Age from which an unfinished directory is what a killed process left behind."""


def write_directory(
    path: Path, files: Mapping[str, bytes], check: Callable[[Path], object]
) -> None:
    """Write `files` to a new directory `path`, on the disk before this returns.

    `check` is handed where they were written before they appear in `path`. Raises `OSError`, or
    what `check` does, and leaves nothing. A directory that is there already is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=path.parent))
    try:
        for name, content in files.items():
            _write(unfinished / name, content)
        check(unfinished)
        unfinished.chmod(0o755)
        sync_directory(unfinished)
        if not path.exists():
            unfinished.rename(path)
            _keep(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in the place of what `path` holds: readers see the old or the new, whole.

    Callers see to it that no other does so at the same time.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        _write(fresh, content)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _keep(path: Path) -> None:
    try:
        sync_directory(path.parent)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _sweep(directory: Path) -> None:
    """Remove what processes that were killed left unfinished."""
    for path in directory.glob(f"{_UNFINISHED}*"):
        with suppress(FileNotFoundError):  # another process was quicker
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(path, ignore_errors=True)
