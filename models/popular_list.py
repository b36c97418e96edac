"""What a segment buys, long enough to leave out what somebody owns.

An answer where something is late or too much must be cheap, and looking among all items for what
is left takes longer than ranking does.
"""

import numpy as np

from features.ids import Hashes
from models.request import Listed

LENGTH = 256
"""Items of a list: most own far fewer of what is popular than this leaves."""


class PopularList:
    """The first `LENGTH` items that may be shown to somebody of whom nothing is known."""

    __slots__ = ("_is_whole", "_listed", "_places")

    def __init__(self, listed: Listed, hashes: bytes) -> None:
        """Take what is listed, and the hashes of its items, uint64 each."""
        self._listed = listed
        self._places = {each: at for at, each in enumerate(np.frombuffer(hashes, "<u8").tolist())}
        self._is_whole = len(listed.rows) < LENGTH

    def without(self, blocked: Hashes, k: int) -> Listed | None:
        """Return the first `k` that are not `blocked`; None where the list may be too short."""
        places = self._places
        gone = {places[each] for each in blocked.tolist() if each in places}
        if not self._is_whole and len(places) - len(gone) < k:
            return None
        rows, scores, sources, _ = self._listed
        stay = [at for at in range(min(k + len(gone), len(rows))) if at not in gone][:k]
        return Listed(
            [rows[at] for at in stay], [scores[at] for at in stay], [sources[at] for at in stay]
        )
