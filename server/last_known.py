"""What was last seen of recent shoppers, in lists and events, for when the store cannot be asked.

Without it an outage would show a shopper what they bought a minute ago.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from features.ids import NO_HASHES, Hashes


class Seen(NamedTuple):
    """What a shopper must not be shown (item hashes, uint64[n]) and the segment they were in."""

    blocked: Hashes = NO_HASHES
    segment: str | None = None

    @classmethod
    def of(cls, blocked: Hashes, segment: str) -> "Seen":
        """Return what to remember of a shopper; of those who own nothing, one value a segment.

        `blocked` is copied: a part of a batch's array would keep the whole.
        """
        return cls(blocked.copy(), segment) if len(blocked) else _unblocked(segment)


UNSEEN = Seen()


@lru_cache(1_024)
def _unblocked(segment: str) -> Seen:
    return Seen(NO_HASHES, segment)


class LastKnown:
    """The latest shoppers of this process.

    Two generations: who is ranked joins the younger, and once that holds half of what may be
    held, it becomes the elder and the one before it is let go. Keeping all in the order of their
    last visit costs more than all else that is done to remember one.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        """Hold at most `capacity` shoppers, about 1 kB each, and at least half of them."""
        self._most_young = max(capacity // 2, 1)
        self._young: dict[str, Seen] = {}
        self._old: dict[str, Seen] = {}

    def remember(self, user_id: str, seen: Seen) -> None:
        """Keep what was just read of a shopper."""
        if len(self._young) >= self._most_young and user_id not in self._young:
            self._young, self._old = {}, self._young
        self._young[user_id] = seen

    def recall(self, user_id: str) -> Seen:
        """Return what was seen last, `UNSEEN` for others."""
        return self._young.get(user_id) or self._old.get(user_id, UNSEEN)

    def hide(self, user_id: str, items: Iterable[int]) -> None:
        """Keep from the shopper these items (hashes), too, until they are ranked for again."""
        seen = self.recall(user_id)
        known = {*seen.blocked.tolist()}
        if more := {*items} - known:
            blocked = np.array([*known, *more], np.uint64)
            self.remember(user_id, seen._replace(blocked=blocked))

    def users(self) -> list[str]:
        """Return the ids of all that are held, some of them twice."""
        return [*self._young, *self._old]

    def latest(self, most: int) -> list[str]:
        """Return at most so many ids of those who joined last."""
        return list(islice(chain(reversed(self._young), reversed(self._old)), most))

    def merge(self, source: str, user_id: str) -> None:
        """Make what is kept from a shopper that of another one."""
        self.hide(user_id, self.recall(source).blocked.tolist())
        self.forget(source)

    def forget(self, user_id: str) -> None:
        """Drop the shopper."""
        self._young.pop(user_id, None)
        self._old.pop(user_id, None)
