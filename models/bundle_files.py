"""The files of one bundle, each believed only if it is what the manifest says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import orjson

from models.arrays import Array, checked_array, map_array
from models.errors import BundleError
from models.manifest import FileSum
from models.pauses import pause


class BundleFiles:
    """Reads the files of a directory by name.

    What a method returns was verified when this was made. Arrays and the index stay mapped: they
    are what was verified as long as nobody writes into a bundle, which nothing of ours does.
    """

    def __init__(self, directory: Path, sums: Mapping[str, FileSum]) -> None:
        """Verify every file of `sums`; raise `BundleError` naming one that is not as it says."""
        self._directory = directory
        self._sums = sums
        for name, told in sums.items():
            _verify(directory / name, told)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a file of that name."""
        return name in self._sums

    def path(self, name: str) -> Path:
        """Return where a file is; raise `ValueError` if it is none of the bundle's."""
        if name not in self:
            raise ValueError(f"{name}: missing")
        return self._directory / name

    def content(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return self.path(name).read_bytes()

    def json(self, name: str) -> Any:  # noqa: ANN401 - JSON may be anything
        """Return the value in a JSON file."""
        return orjson.loads(self.content(name))

    def array(
        self,
        name: str,
        kind: npt.DTypeLike,
        *shape: int | None,
        least: int | None = None,
        below: int | None = None,
        numbers: bool = True,
    ) -> Array:
        """Return the array in `NAME.npy`, mapped, if it is what `checked_array` is told."""
        pause()
        array = map_array(self.path(f"{name}.npy"))
        return checked_array(name, array, kind, *shape, least=least, below=below, numbers=numbers)


def _verify(path: Path, told: FileSum) -> None:
    try:
        found = FileSum.of_file(path)
    except OSError as error:
        raise BundleError(f"{path.name}: {error.strerror} ({path.parent.name})") from error
    if found.size != told.size:
        raise BundleError(f"{path.name}: expected {told.size} bytes, got {found.size}")
    if found != told:
        raise BundleError(f"{path.name}: changed since it was written (checksum)")
