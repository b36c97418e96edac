"""Arrays as files: written as npy, mapped into memory, and checked before they are used.

What is mapped is read when it is touched, and shared by all processes that map it: a second
worker pays nothing for the items of the first. Pickled objects are neither written nor read.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_DAMAGE = (ValueError, TypeError, EOFError, OSError, SyntaxError)


def pack(array: Array) -> bytes:
    """Return the content of an npy file; equal arrays make equal bytes."""
    packed = io.BytesIO()
    np.lib.format.write_array(packed, np.ascontiguousarray(array), allow_pickle=False)
    return packed.getvalue()


def map_array(path: Path) -> Array:
    """Return the array in an npy file, read-only; raise `ValueError` where there is none."""
    try:
        # A view of plain type: numpy's own for mapped files makes every slice dear.
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except _DAMAGE as error:
        raise ValueError(f"{path.stem}: no array to read: {error}") from error


def checked_array(
    name: str,
    array: Array,
    kind: npt.DTypeLike,
    *shape: int | None,
    least: int | None = None,
    below: int | None = None,
    numbers: bool = True,
) -> Array:
    """Return `array` if it is of this kind and shape (None: any size).

    All values must be at least `least` and less than `below`, and finite if `numbers`. Raises
    `ValueError` naming the array, what was expected and what was found.
    """
    if not _is(array.dtype, kind) or not _fits(array.shape, shape):
        wanted = f"{np.dtype(kind)} {_told(shape)}"
        raise ValueError(f"{name}: expected {wanted}, got {array.dtype} {_told(array.shape)}")
    if numbers and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: holds what is no number")
    if least is not None and array.size and array.min() < least:
        raise ValueError(f"{name}: expected at least {least}, got {array.min()}")
    if below is not None and array.size and array.max() >= below:
        raise ValueError(f"{name}: expected less than {below}, got {array.max()}")
    return array


def _is(found: np.dtype[Any], wanted: npt.DTypeLike) -> bool:
    """Tell whether two types are one; bytes may be of any length."""
    return found == wanted or (wanted is np.bytes_ and found.kind == "S")


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(found) == len(wanted) and all(
        size is None or each == size for each, size in zip(found, wanted, strict=True)
    )


def _told(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
