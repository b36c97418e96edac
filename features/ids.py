"""Stable 64-bit hashes of identifiers: the same in every process, on every machine, for ever.

Python's own `hash()` is salted per process, so nothing that is stored may use it.
"""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
"""`stable_hash` of some identifiers, uint64[n]."""

NO_HASHES: Hashes = np.empty(0, np.uint64)

MAX_ID_LENGTH = 128
"""Longest identifier accepted anywhere, in characters."""

BLANKS = " \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"
"""Spaces of every width: at the ends of an identifier they are no part of it."""


def stable_hash(identifier: str) -> int:
    """Return the unsigned 64-bit BLAKE2b hash of `identifier`; never 0, which means "no id"."""
    digest = blake2b(identifier.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def stable_hashes(identifiers: Iterable[str]) -> Hashes:
    """Return `stable_hash` of each identifier, uint64[n]."""
    return np.fromiter((stable_hash(each) for each in identifiers), np.uint64)
