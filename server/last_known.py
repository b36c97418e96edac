"""What was last seen of recent shoppers, for when the store cannot be asked.

Without it an outage would show a shopper what they bought a minute ago.
"""

from collections import OrderedDict
from typing import NamedTuple

from models.request import NO_HASHES, Hashes


class Seen(NamedTuple):
    """What a shopper must not be shown (item hashes, uint64[n]) and the segment they were in."""

    blocked: Hashes = NO_HASHES
    segment: str | None = None


UNSEEN = Seen()


class LastKnown:
    """The latest `capacity` shoppers of this process; the least recently ranked are let go."""

    def __init__(self, capacity: int = 10_000) -> None:
        """Hold at most `capacity` shoppers, about 1 kB each."""
        self._capacity = capacity
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    def remember(self, user_id: str, seen: Seen) -> None:
        """Keep what was just read of a shopper."""
        self._seen[user_id] = seen
        self._seen.move_to_end(user_id)
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)

    def recall(self, user_id: str) -> Seen:
        """Return what was seen last, `UNSEEN` for others."""
        return self._seen.get(user_id, UNSEEN)

    def forget(self, user_id: str) -> None:
        """Drop the shopper."""
        self._seen.pop(user_id, None)
