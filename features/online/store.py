"""What the serving path reads of a shopper, and the seam behind which the store stands.

The request path knows `OnlineStore` only. `NullStore` is a store that knows nobody: it is
what remains when there is none, and what tests use where the store is not the point.
`features.online.valkey_store` has the real one.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from features.eventlog import NO_RECORDS
from features.events import Event, Records
from features.online.values import Ring

NO_PROFILE: Mapping[str, Any] = MappingProxyType({})


class ShopperState(NamedTuple):
    """One shopper as the online store knows them, from one read.

    `revision` names the state: any new event or profile changes it. It is empty for a stranger.
    """

    profile: Mapping[str, Any] = NO_PROFILE
    recent_ring: Ring | None = None
    history_ring: Ring | None = None
    revision: bytes = b""

    @property
    def recent(self) -> Records:
        """Return the latest events."""
        return NO_RECORDS if self.recent_ring is None else self.recent_ring.records

    @property
    def history(self) -> Records:
        """Return the latest of what is remembered for long."""
        return NO_RECORDS if self.history_ring is None else self.history_ring.records

    @property
    def known(self) -> bool:
        """Tell whether there is anything to rank by."""
        return bool(self.revision)


STRANGER = ShopperState()


class ShopperQuery(NamedTuple):
    """One shopper to read, and under which bucket a cached answer may lie.

    `otherwise` is whom to read where nothing is known of the shopper: their session.
    """

    user_id: str
    bucket: str
    otherwise: str | None = None


class ShopperRead(NamedTuple):
    """What one read brought: the shopper's state, and the cached answer's bytes if any.

    `disbelieved` counts values that were there but another shopper's, or of another layout.
    `instead` is set where this is what `otherwise` told of: it asks for that alone.
    """

    state: ShopperState
    answer: bytes | None
    disbelieved: int = 0
    instead: ShopperQuery | None = None


class KeptAnswer(NamedTuple):
    """An answer to what was asked, to be kept for `ttl_s` seconds."""

    query: ShopperQuery
    answer: bytes
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Appended:
    """How a batch of events was taken: each is either new or was there before."""

    accepted: int
    duplicates: int


class OnlineStore(Protocol):
    """The online store. Every method raises `features.errors.StoreError` and nothing else."""

    async def read(self, queries: Sequence[ShopperQuery]) -> list[ShopperRead]:
        """Return one `ShopperRead` per query, in order, in a single round trip."""
        ...

    async def put_answers(self, answers: Sequence[KeptAnswer]) -> None:
        """Keep answers under their shoppers and buckets; one that cannot be spoils no other."""
        ...

    async def append(self, events: Sequence[Event]) -> Appended:
        """Take events durably and make them visible to the next read; idempotent by event id."""
        ...

    async def forget(self, user_id: str) -> int:
        """Remove everything that is known of the shopper and ask the offline store to do so.

        Returns the stamp up to which they are forgotten.
        """
        ...

    async def merge(self, source: str, into: str) -> int:
        """Make the history of `source` that of `into`; return how many events kept online it had.

        What is there is told now; what is on its way, and the offline store, follow.
        """
        ...

    async def ping(self) -> None:
        """Return if the store answers."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class NullStore:
    """An online store that knows nobody and keeps nothing."""

    async def read(self, queries: Sequence[ShopperQuery]) -> list[ShopperRead]:
        """Return strangers."""
        return [ShopperRead(STRANGER, None) for _ in queries]

    async def put_answers(self, answers: Sequence[KeptAnswer]) -> None:
        """Keep nothing."""

    async def append(self, events: Sequence[Event]) -> Appended:
        """Count the events and keep none."""
        return Appended(len(events), 0)

    async def forget(self, user_id: str) -> int:  # noqa: ARG002 (whoever it is)
        """Know nobody to forget, and what there was until now."""
        return int(time.time() * 1_000)

    async def merge(self, source: str, into: str) -> int:  # noqa: ARG002 - the protocol's
        """Know nobody to merge."""
        return 0

    async def ping(self) -> None:
        """Answer always."""

    async def close(self) -> None:
        """Hold nothing to release."""
