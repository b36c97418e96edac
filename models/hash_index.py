"""Looking many 64-bit hashes up in an ascending array of them.

leading bits ─ bucket ─ where it begins ─ on to the first that is not smaller ─ is it the one?

Hashes are spread evenly over two to four times as many buckets, so that most hold one or none; a
search by halves would read twenty places of a million hashes, most of them far apart.
"""

import numpy as np
import numpy.typing as npt

from features.ids import Hashes

Places = npt.NDArray[np.int64]

_BITS = 64


class HashIndex:
    """Finds hashes among `hashes`, which it keeps without a copy; 8 to 16 bytes more for each."""

    def __init__(self, hashes: Hashes) -> None:
        """Index `hashes`, uint64[n], ascending."""
        self._hashes = hashes
        bits = len(hashes).bit_length() + 1
        self._shift = np.uint64(_BITS - bits)
        sizes = np.bincount((hashes >> self._shift).view(np.int64), minlength=1 << bits)
        self._begins = (sizes.cumsum() - sizes).astype(np.int32)

    def places(self, wanted: Hashes) -> Places:
        """Return where each of `wanted` uint64[m] stands, int64[m]; -1 where it does not."""
        if not len(self._hashes):
            return np.full(len(wanted), -1)
        last = len(self._hashes) - 1
        places = np.minimum(self._begins.take((wanted >> self._shift).view(np.int64)), last)
        found = self._hashes.take(places)
        while np.count_nonzero(behind := (found < wanted) & (places < last)):
            places += behind
            found = self._hashes.take(places)
        return np.where(found == wanted, places, -1)
