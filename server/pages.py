"""Lists as they stand in an answer, with the cursor that leads to the next page of them.

    items ─ `[{…}, …],"next_cursor":"…"`      next page: the same request and this cursor

A cursor holds the hashes of all items that were shown, so that none is shown twice, whatever
becomes of the shopper, the model or the process meanwhile, and nothing has to be kept for it:

    mark  8 bytes, BLAKE2b of what follows, keyed with `CUVEE_CURSOR_KEY`
    then  a uint64 each, `stable_hash` of an item

as base64. A list that could not be filled is the last one, and so is the one after which a
thousand items have been shown.
"""

from binascii import a2b_base64, b2a_base64
from functools import partial
from hashlib import blake2b
from hmac import compare_digest

import numpy as np

from features.ids import Hashes
from models.model import Model
from models.request import Listed, Spot, Written
from server.errors import InvalidError
from server.query import SHOWN_BYTES, Query

MOST_SHOWN = 1_000
"""Items over all pages of a list."""

_MARK = 8
_PERSON = b"cuvee-cursor"


class Pages:
    """Writes lists and reads cursors."""

    def __init__(self, key: str | None) -> None:
        """Mark cursors with `key`; without one the mark tells damage, not who made it."""
        digest = blake2b(key.encode(), digest_size=32).digest() if key else b""
        self._marked = blake2b(key=digest, digest_size=_MARK, person=_PERSON)
        self._stamp = f" {self._marked.hexdigest()}" if key else ""

    def opened(self, query: Query) -> Query:
        """Return the query with what its cursor says was shown; raise `InvalidError`."""
        told = query.cursor
        if told is None:
            return query
        content = _content(told)
        mark, shown = content[:_MARK], content[_MARK:]
        if not shown or len(shown) % SHOWN_BYTES or not compare_digest(mark, self._mark(shown)):
            message = f"expected the next_cursor of an answer, as it was told, got {told!r:.40}"
            raise InvalidError(f"cursor: {message}", [("cursor", message)])
        return query._replace(shown=shown)

    def written(self, query: Query, model: Model, listed: Listed) -> bytes:
        """Return the items that a query asked for, and the cursor behind them."""
        return self._page(query.shown, model, listed, query.k)

    def popular(
        self, query: Query, model: Model, segment: int, blocked: Hashes, spot: Spot
    ) -> Written:
        """Return what a segment buys, without what is blocked."""
        write = partial(self._page, query.shown) if query.shown else self._first
        return model.ladder(segment, blocked, query.filters, query.k, spot, write)

    def stamp(self, model: Model) -> str:
        """Return what written lists are true for: the model's stamp, and the cursors' key."""
        return model.stamp + self._stamp

    def _first(self, model: Model, listed: Listed, k: int) -> bytes:
        return self._page(b"", model, listed, k)

    def _page(self, shown: bytes, model: Model, listed: Listed, k: int) -> bytes:
        items, count = model.json(listed), len(listed.rows)
        if count < k or len(shown) // SHOWN_BYTES + count >= MOST_SHOWN:
            return items + b',"next_cursor":null'
        shown += model.hashes(listed)
        return b'%b,"next_cursor":"%b"' % (
            items,
            b2a_base64(self._mark(shown) + shown, newline=False),
        )

    def _mark(self, shown: bytes) -> bytes:
        marked = self._marked.copy()
        marked.update(shown)
        return marked.digest()


def _content(told: str) -> bytes:
    """Return the content of a cursor, nothing where it is not written as we do."""
    try:
        content = a2b_base64(told)
    except ValueError:
        return b""
    return content if b2a_base64(content, newline=False) == told.encode() else b""


def hashes_of(shown: bytes) -> Hashes:
    """Return the hashes that a cursor held, uint64[n]."""
    hashes: Hashes = np.frombuffer(shown, "<u8")
    return hashes


def shown_before(told: str) -> int:
    """Return how many items earlier pages showed, by a cursor that was opened."""
    return (len(_content(told)) - _MARK) // SHOWN_BYTES
