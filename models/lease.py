"""Who reads a bundle holds it: a shared lock that ends with the reader, however it ends."""

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import BundleError


class Lease:
    """Keeps a bundle from being removed for as long as this lives."""

    def __init__(self, directory: Path) -> None:
        """Take hold; raise `BundleError` where there is no bundle (any more)."""
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            weakref.finalize(self, os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.fstat(descriptor).st_ino != directory.stat().st_ino:
                raise BundleError(f"{directory.name}: was replaced meanwhile")
        except OSError as error:
            raise BundleError(f"{directory.name}: {error.strerror}") from error


@contextmanager
def taken(directory: Path) -> Iterator[bool]:
    """Yield whether nobody holds a bundle; until the block ends nobody can take hold of it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
