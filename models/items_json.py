"""Items as they stand in an answer: JSON put together from pieces made once for each item.

,{"item_id":"wine-7","score":  0.93  ,"reason":"similar_to:wine-4"}
└───── head of row 7 ───────┘       └────── tail of row 4 ─────────┘
"""

from collections.abc import Callable, Sequence

import orjson

from features.ids import stable_hash
from models.request import BOUGHT_WITH, POPULAR, POPULAR_IN_SEGMENT, Listed

_MOST_PIECES = 1 << 14
"""Pieces of each kind that are kept: those of what is shown most, soon again where not."""

REASONS = {POPULAR: "popular", POPULAR_IN_SEGMENT: "popular_in_segment"}
SIMILAR_TO = "similar_to:"
TOGETHER = "bought_with:"


class ItemsJson:
    """Writes lists of items; a piece is made when it is needed first."""

    def __init__(self, ids: Sequence[str]) -> None:
        """Write items by these ids."""
        self._heads = _Pieces(lambda row: b',{"item_id":%b,"score":' % orjson.dumps(ids[row]))
        self._tails = _Pieces(lambda source: b',"reason":%b}' % orjson.dumps(_reason(source, ids)))

        self._hashes = _Pieces(lambda row: stable_hash(ids[row]).to_bytes(8, "little"))

    def hashes(self, listed: Listed) -> bytes:
        """Return the stable hashes of items, 8 bytes each, little-endian."""
        return b"".join(map(self._hashes.__getitem__, listed.rows))

    def encode(self, listed: Listed) -> bytes:
        """Return a JSON array of `item_id`, `score`, `reason`."""
        rows, scores, sources = listed
        if not rows:
            return b"[]"
        pieces = [b""] * (3 * len(rows))
        pieces[::3] = map(self._heads.__getitem__, rows)
        pieces[1::3] = orjson.dumps(scores)[1:-1].split(b",")
        pieces[2::3] = map(self._tails.__getitem__, sources)
        return b"[%b]" % b"".join(pieces)[1:]


def _reason(source: int, ids: Sequence[str]) -> str:
    if source <= BOUGHT_WITH:
        return TOGETHER + ids[BOUGHT_WITH - source]
    return REASONS.get(source) or SIMILAR_TO + ids[source]


class _Pieces(dict[int, bytes]):
    """Pieces by the row they are of, made where they are missing."""

    def __init__(self, make: Callable[[int], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, row: int) -> bytes:
        piece = self._make(row)
        if len(self) >= _MOST_PIECES:
            self.clear()
        self[row] = piece
        return piece
