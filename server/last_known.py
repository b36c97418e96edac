"""What was last seen of recent shoppers, in lists and events, for when the store cannot be asked.

Without it an outage would show a shopper what they bought a minute ago.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from features.history import HISTORY_CAP, RECENT_CAP
from features.ids import NO_HASHES, Hashes

MOST_SINCE = RECENT_CAP
"""Items that a shopper is kept from by events since their last list: the latest count."""

_MOST_BLOCKED = RECENT_CAP + HISTORY_CAP


class Seen(NamedTuple):
    """What a shopper must not be shown (item hashes, uint64[n]) and the segment they were in.

    `since` are hashes of what they bought, rated, refused or put in after that.
    """

    blocked: Hashes = NO_HASHES
    segment: str | None = None
    since: tuple[int, ...] = ()

    @classmethod
    def of(cls, blocked: Hashes, segment: str) -> "Seen":
        """Return what to remember of a shopper; of those who own nothing, one value a segment.

        `blocked` is copied: a part of a batch's array would keep the whole.
        """
        return cls(blocked.copy(), segment) if len(blocked) else _unblocked(segment)

    @property
    def hidden(self) -> Hashes:
        """Return all that must not be shown, item hashes uint64[n]."""
        if not self.since:
            return self.blocked
        return np.concatenate((self.blocked, np.array(self.since, np.uint64)))

    def after(self, items: Iterable[int]) -> "Seen":
        """Return the same with what was done since."""
        return self._replace(since=(*dict.fromkeys((*self.since, *items)),)[-MOST_SINCE:])

    def beside(self, other: "Seen") -> "Seen":
        """Return what is hidden here or in the other; of the other's segment where here is none."""
        blocked = np.concatenate((other.blocked, self.blocked))[-_MOST_BLOCKED:]
        joined = Seen(blocked, self.segment or other.segment, other.since)
        return joined.after(self.since)


UNSEEN = Seen()


@lru_cache(1_024)
def _unblocked(segment: str) -> Seen:
    return Seen(NO_HASHES, segment)


class LastKnown:
    """The latest shoppers of this process.

    Two generations: who is ranked, or does something, joins the younger, and once that holds half
    of what may be held, it becomes the elder and the one before it is let go. Keeping all in the
    order of their last visit costs more than all else that is done to remember one.
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
        self.remember(user_id, self.recall(user_id).after(items))

    def share(self, source: str, user_id: str) -> None:
        """Keep from a shopper what is kept from another one, too."""
        theirs = self.recall(source)
        if theirs is not UNSEEN:
            self.remember(user_id, self.recall(user_id).beside(theirs))

    def users(self) -> list[str]:
        """Return the ids of all that are held, some of them twice."""
        return [*self._young, *self._old]

    def latest(self, most: int) -> list[str]:
        """Return at most so many ids of those who joined last."""
        return list(islice(chain(reversed(self._young), reversed(self._old)), most))

    def forget(self, user_id: str) -> None:
        """Drop the shopper."""
        self._young.pop(user_id, None)
        self._old.pop(user_id, None)
