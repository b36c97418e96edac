"""Files that are there whole or not at all, and errors of the disk that say which file they met."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Put `text` in the place of what `path` holds: readers see the old or the new, whole.

    Callers see to it that no other does so at the same time. A device, /dev/stdout say, is written
    to, and what a link names is replaced where it lies.
    """
    if path.exists() and not path.is_file():
        write_file(path, text)
        return
    with replacing(path.resolve()) as fresh:
        write_file(fresh, text)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write what then takes the place of `path`; an `OSError` leaves nothing."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        yield fresh
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def write_file(path: Path, text: str) -> None:
    """Write a file; an `OSError` names it."""
    with named(path):
        path.write_text(text, encoding="utf-8")


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an `OSError` name `path` where it names none: a full disk is met by number, not name."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
