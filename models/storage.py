"""Where a registry lies: names with content, of which some are made only if nobody was quicker."""

from pathlib import Path
from typing import Protocol

from features.lock import locked
from models.directory import copy_file, replace_file


class Storage(Protocol):
    """A directory or a bucket. Names are relative, with slashes; all methods raise `OSError`."""

    def create(self, name: str, content: bytes) -> None:
        """Put `content` under a name that is not there; raise `FileExistsError` if it is."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content under a name; raise `FileNotFoundError`."""
        ...

    def names(self, directory: str) -> list[str]:
        """Return the last parts of the names just below `directory`, none where it is not there."""
        ...

    def size(self, name: str) -> int | None:
        """Return the bytes under a name, None where there is none such."""
        ...

    def upload(self, path: Path, name: str) -> None:
        """Put a file's content under a name, whole or not at all."""
        ...

    def download(self, name: str, path: Path) -> None:
        """Write the content under a name to a file; raise `FileNotFoundError`."""
        ...


class Directory:
    """A directory of this machine, or one that several mount."""

    def __init__(self, path: Path) -> None:
        """Use `path`; nothing is made before the first write."""
        self._path = path

    def __str__(self) -> str:
        """Return where it is."""
        return str(self._path)

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

    def names(self, directory: str) -> list[str]:
        """Return what lies in a directory, but for hidden files."""
        try:
            paths = list((self._path / directory).iterdir())
        except FileNotFoundError:
            return []
        return [path.name for path in paths if not path.name.startswith(".")]

    def size(self, name: str) -> int | None:
        """Return a file's size."""
        try:
            return (self._path / name).stat().st_size
        except FileNotFoundError:
            return None

    def upload(self, path: Path, name: str) -> None:
        """Copy a file here."""
        copy_file(path, self._path / name)

    def download(self, name: str, path: Path) -> None:
        """Copy a file from here."""
        copy_file(self._path / name, path)
