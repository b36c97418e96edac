"""Arrays by name in one file, and the check of each before it is used.

The file is an npz, so numpy opens it anywhere; it holds no times, so equal arrays make equal
bytes. Pickled objects are neither written nor read.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_DAMAGE = (zipfile.BadZipFile, ValueError, TypeError, EOFError, OSError, NotImplementedError)


def pack(arrays: Mapping[str, Array]) -> bytes:
    """Return the arrays as one npz."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return packed.getvalue()


class Arrays:
    """Arrays of one npz, handed out once they are what they should be.

    Raises `ValueError` naming the array, what was expected and what was found.
    """

    def __init__(self, packed: bytes) -> None:
        """Read all arrays in `packed`."""
        try:
            with zipfile.ZipFile(io.BytesIO(packed)) as archive:
                self._arrays = {
                    name.removesuffix(".npy"): _read(archive.read(name))
                    for name in archive.namelist()
                }
        except _DAMAGE as error:
            raise ValueError(f"no arrays to read: {error}") from error

    def take(
        self,
        name: str,
        kind: npt.DTypeLike,
        *shape: int | None,
        least: int | None = None,
        below: int | None = None,
        numbers: bool = True,
    ) -> Array:
        """Return an array of this kind and shape (None: any), read-only, and forget it.

        All values must be at least `least` and less than `below`, and finite if `numbers`.
        """
        if name not in self._arrays:
            raise ValueError(f"{name}: missing")
        array = self._arrays.pop(name)
        if array.dtype != kind or not _fits(array.shape, shape):
            wanted = f"{np.dtype(kind)} {_told(shape)}"
            raise ValueError(f"{name}: expected {wanted}, got {array.dtype} {_told(array.shape)}")
        if numbers and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name}: holds what is no number")
        if least is not None and array.size and array.min() < least:
            raise ValueError(f"{name}: expected at least {least}, got {array.min()}")
        if below is not None and array.size and array.max() >= below:
            raise ValueError(f"{name}: expected less than {below}, got {array.max()}")
        array.flags.writeable = False
        return array

    def require_empty(self) -> None:
        """Raise `ValueError` if there are arrays that nobody took."""
        if self._arrays:
            raise ValueError(f"{', '.join(sorted(self._arrays))}: not known")


def _read(content: bytes) -> Array:
    array: Array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(found) == len(wanted) and all(
        size is None or each == size for each, size in zip(found, wanted, strict=True)
    )


def _told(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
