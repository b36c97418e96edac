"""Files that variables name: what is wrong in one is told with the variable before it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from features.errors import InputError

Told = TypeVar("Told")


@contextmanager
def named_by(variable: str) -> Iterator[None]:
    """Put the name of a variable before each line of an `InputError` about the file it names."""
    try:
        yield
    except InputError as error:
        error.args = ("\n".join(f"{variable}: {line}" for line in str(error).splitlines()),)
        raise


def read_named(
    read: Callable[[Path], Told], variable: str, path: Path | None = None
) -> Told | None:
    """Return what `read` makes of the file at `path`, else of the one that `variable` names.

    None where neither is given.
    """
    if path is not None:
        return read(path)
    if not (named := os.environ.get(variable)):
        return None
    with named_by(variable):
        return read(Path(named))
