"""Items as they stand in an answer: JSON put together from pieces made once for each item.

,{"item_id":"wine-7","score":  0.93  ,"reason":"because_you_bought:wine-4","reason_text":"…"}
└───── head of row 7 ───────┘       └──────────── tail of one source ───────────────────────┘
"""

from collections.abc import Callable, Sequence

import orjson

from features.ids import stable_hash
from models.reasons import NAMING, Kind, explained
from models.request import Listed

_MOST_PIECES = 1 << 14
"""Pieces of each kind that are kept: those of what is shown most, soon again where not."""

GLOBAL_CODE = "popular"
SEGMENT_CODE = "popular_in"
_GLOBAL_TEXT = "Popular now"
_SEGMENT_TEXT = "Popular with shoppers who like {name}"
_MARKET_TEXT = "Popular in {name}"
_MARKET = "market="

TEXTS = {
    Kind.SIMILAR_TO: "Similar to {name}",
    Kind.BOUGHT_WITH: "Often bought with {name}",
    Kind.BECAUSE_YOU_BOUGHT: "Because you bought {name}",
    Kind.BECAUSE_YOU_RATED: "Because you rated {name}",
    Kind.BECAUSE_YOU_ADDED: "Because you put {name} into your basket",
    Kind.BECAUSE_YOU_VIEWED: "Because you looked at {name}",
    Kind.PINNED: "Our choice",
    Kind.PROMOTED: "Promoted",
    Kind.EXPLORE: "Known to few so far",
    Kind.BUY_AGAIN: "Buy it again",
    Kind.VIEWED_BEFORE: "You looked at it before",
    Kind.RATED_BEFORE: "You rated it before",
    Kind.IN_RANGE: "Also in our range",
}


class ItemsJson:
    """Writes lists of items; a piece is made when it is needed first.

    No piece knows its writer: in a circle all of a model's would stay, long after it serves no
    more, until garbage is collected.
    """

    def __init__(self, ids: Sequence[str], names: Sequence[str], segments: Sequence[str]) -> None:
        """Write items by their ids, and call them by their `names` and the segments by theirs."""
        reasons = _Reasons(ids, names, segments)
        self._heads = _Pieces(lambda row: b',{"item_id":%b,"score":' % orjson.dumps(ids[row]))
        self._tails = _Pieces(reasons.tail)
        self._hashes = _Pieces(lambda row: stable_hash(ids[row]).to_bytes(8, "little"))

    def hashes(self, listed: Listed) -> bytes:
        """Return the stable hashes of items, 8 bytes each, little-endian."""
        return b"".join(map(self._hashes.__getitem__, listed.rows))

    def encode(self, listed: Listed) -> bytes:
        """Return a JSON array of `item_id`, `score`, `reason`, `reason_text`."""
        rows, scores, sources, _ = listed
        if not rows:
            return b"[]"
        pieces = [b""] * (3 * len(rows))
        pieces[::3] = map(self._heads.__getitem__, rows)
        pieces[1::3] = orjson.dumps(scores)[1:-1].split(b",")
        pieces[2::3] = map(self._tails.__getitem__, sources)
        return b"[%b]" % b"".join(pieces)[1:]


class _Reasons:
    """Says why an item is shown."""

    def __init__(self, ids: Sequence[str], names: Sequence[str], segments: Sequence[str]) -> None:
        """Name items by their `names`, where they have none by their ids, and segments."""
        self._ids = ids
        self._names = names
        self._segments = segments

    def tail(self, source: int) -> bytes:
        """Return the end of an item in JSON."""
        code, text = self.reason(source)
        return b',"reason":%b,"reason_text":%b}' % (orjson.dumps(code), orjson.dumps(text))

    def reason(self, source: int) -> tuple[str, str]:
        """Return why an item is shown: a code for programs, and a sentence for people."""
        kind, row = explained(source)
        if kind is None:
            return self._popular(row)
        code = kind.name.lower()
        if kind in NAMING:
            return f"{code}:{self._ids[row]}", TEXTS[kind].format(name=self._name_of(row))
        return code, TEXTS[kind]

    def _name_of(self, row: int) -> str:
        return self._names[row] or self._ids[row]

    def _popular(self, segment: int) -> tuple[str, str]:
        if not segment:
            return GLOBAL_CODE, _GLOBAL_TEXT
        name = self._segments[segment]
        code = f"{SEGMENT_CODE}:{name}"
        if name.startswith(_MARKET):
            return code, _MARKET_TEXT.format(name=name.removeprefix(_MARKET))
        tastes = " and ".join(each.rpartition("=")[2] for each in name.split(","))
        return code, _SEGMENT_TEXT.format(name=tastes)


class _Pieces(dict[int, bytes]):
    """Pieces by what they are of, made where they are missing."""

    def __init__(self, make: Callable[[int], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: int) -> bytes:
        piece = self._make(key)
        if len(self) >= _MOST_PIECES:
            self.clear()
        self[key] = piece
        return piece
