"""Where a registry lies: names with content, of which some are made only if nobody was quicker."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ENOTDIR
from pathlib import Path
from typing import Protocol

from features.lock import locked
from models.directory import copy_file, replace_file
from models.errors import AwayError


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a name: bytes, and when it was written, in seconds since 1970."""

    size: int
    written: float


class Storage(Protocol):
    """A directory or a bucket. Names are relative, with slashes; all methods raise `OSError`."""

    def require(self) -> None:
        """Raise `OSError` where there is no such directory or bucket, however empty."""
        ...

    def create(self, name: str, content: bytes) -> None:
        """Put `content` under a name that is not there; raise `FileExistsError` if it is."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content under a name; raise `FileNotFoundError`."""
        ...

    def entries(self, directory: str) -> dict[str, Entry]:
        """Return what lies just below `directory` by the last part of its name."""
        ...

    def upload(self, path: Path, name: str) -> None:
        """Put a file's content under a name, whole or not at all."""
        ...

    def download(self, name: str, path: Path) -> None:
        """Write the content under a name to a file; raise `FileNotFoundError`."""
        ...

    def remove(self, name: str) -> None:
        """Remove a name, if it is there."""
        ...


class Directory:
    """A directory of this machine, or one that several mount."""

    def __init__(self, path: Path) -> None:
        """Use `path`; nothing is made before the first write."""
        self._path = path

    def __str__(self) -> str:
        """Return where it is."""
        return str(self._path)

    def require(self) -> None:
        """Raise `NotADirectoryError` where there is no such directory (yet)."""
        if not self._path.is_dir():
            raise NotADirectoryError(ENOTDIR, "there is no such directory", str(self._path))

    def create(self, name: str, content: bytes) -> None:
        """Write a file, on the disk before this returns."""
        path = self._path / name
        with locked(path.parent):
            if path.exists():
                raise FileExistsError(f"{path} is there already")
            replace_file(path, content)

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self._path / name).read_bytes()

    def entries(self, directory: str) -> dict[str, Entry]:
        """Return the files in a directory, but for hidden ones."""
        try:
            paths = list((self._path / directory).iterdir())
        except FileNotFoundError:
            return {}
        entries = {}
        for path in paths:
            with suppress(FileNotFoundError):  # removed meanwhile
                if not path.name.startswith("."):
                    told = path.stat()
                    entries[path.name] = Entry(told.st_size, told.st_mtime)
        return entries

    def upload(self, path: Path, name: str) -> None:
        """Copy a file here."""
        copy_file(path, self._path / name)

    def download(self, name: str, path: Path) -> None:
        """Copy a file from here."""
        copy_file(self._path / name, path)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self._path / name).unlink(missing_ok=True)


@contextmanager
def reaching(storage: Storage) -> Iterator[None]:
    """Raise `AwayError` for what a storage does not do."""
    try:
        yield
    except OSError as error:
        raise AwayError(f"{storage}: {error.strerror or error}") from error
