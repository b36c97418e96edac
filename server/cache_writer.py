"""Lists on their way into the cache: all of one loop turn in one call that nobody waits for."""

import asyncio
from random import uniform

from features.online.store import KeptAnswer, OnlineStore, ShopperQuery
from monitoring.labels import ErrorKind
from server.background import Background

_JITTER = 0.1
"""Lists of one turn do not all end together."""


class CacheWriter:
    """Puts lists into a store."""

    def __init__(self, store: OnlineStore, background: Background, ttl_s: float) -> None:
        """Let them lie for about `ttl_s` seconds; 0 keeps none."""
        self.is_on = ttl_s > 0
        self._store = store
        self._background = background
        self._ttl_s = ttl_s
        self._due: list[KeptAnswer] = []

    def keep(self, asked: ShopperQuery, answer: bytes, most_s: float) -> None:
        """Keep `answer` as that to what was `asked`, at most so many seconds."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._write)
        ttl_s = min(self._ttl_s, most_s) * uniform(1 - _JITTER, 1)  # noqa: S311 - no secret
        self._due.append(KeptAnswer(asked, answer, ttl_s))

    def _write(self) -> None:
        due, self._due = self._due, []
        self._background.spawn(lambda: self._store.put_answers(due), ErrorKind.CACHE_WRITE)
