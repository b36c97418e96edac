"""Items as they stand in an answer: JSON put together from pieces made once for each item.

{"item_id":"wine-7","score":  0.93  ,"reason":"similar_to:wine-4"}
└──── head of row 7 ───────┘       └────── tail of row 4 ─────────┘
"""

from collections.abc import Sequence

import orjson

from models.request import POPULAR, POPULAR_IN_SEGMENT, Listed

_MOST_PIECES = 1 << 14
"""Pieces of each kind that are kept: those of what is shown most, soon again where not."""

REASONS = {POPULAR: "popular", POPULAR_IN_SEGMENT: "popular_in_segment"}
SIMILAR_TO = "similar_to:"


class ItemsJson:
    """Writes lists of items; a piece is made when it is needed first."""

    def __init__(self, ids: Sequence[str]) -> None:
        """Write items by these ids."""
        self._ids = ids
        self._heads: dict[int, bytes] = {}
        self._tails: dict[int, bytes] = {}

    def encode(self, listed: Listed) -> bytes:
        """Return a JSON array of `item_id`, `score`, `reason`."""
        rows, scores, sources = listed
        if not rows:
            return b"[]"
        numbers = orjson.dumps(scores)[1:-1].split(b",")
        heads = [self._heads.get(row) or self._head(row) for row in rows]
        tails = [self._tails.get(source) or self._tail(source) for source in sources]
        pieces = zip(heads, numbers, tails, strict=True)
        return b"[%b]" % b",".join([b"%b%b%b" % each for each in pieces])

    def _head(self, row: int) -> bytes:
        head = b'{"item_id":%b,"score":' % orjson.dumps(self._ids[row])
        _keep(self._heads, row, head)
        return head

    def _tail(self, source: int) -> bytes:
        tail = _tail(REASONS.get(source) or SIMILAR_TO + self._ids[source])
        _keep(self._tails, source, tail)
        return tail


def _keep(pieces: dict[int, bytes], row: int, piece: bytes) -> None:
    if len(pieces) >= _MOST_PIECES:
        pieces.clear()
    pieces[row] = piece


def _tail(reason: str) -> bytes:
    return b',"reason":%b}' % orjson.dumps(reason)
