"""Who was forgotten, as it reaches what this process has in memory.

DELETE, in any process ─ the home's list ─ looked at once a second ─┬─ the model's shoppers
                                                                   └─ what was last seen of them

The request path asks nobody: what it asks has forgotten already.
"""

import asyncio
import logging

import numpy as np

from features.errors import StoreError
from features.identity.forgotten import Forgotten, ForgottenList
from features.ids import Hashes, stable_hashes
from monitoring.labels import ErrorKind
from monitoring.metrics import Metrics
from server.current_model import CurrentModel
from server.last_known import LastKnown

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often the list is looked at."""


class Forgetting:
    """Follows the list of a home. While it cannot be read `models` have forgotten everybody."""

    def __init__(
        self,
        forgotten: ForgottenList,
        models: CurrentModel,
        last_known: LastKnown,
        metrics: Metrics,
    ) -> None:
        """Know nothing of the list yet."""
        self._list = forgotten
        self._models = models
        self._last_known = last_known
        self._metrics = metrics
        self._state: tuple[int, int] | None = None
        self._is_readable = True
        self._refreshing = asyncio.Lock()
        self._told_ms = self._cleared_ms = 0

    async def add(self, user_id: str, until_ms: int) -> None:
        """Note durably that a shopper was forgotten, and forget them here; raise `StoreError`."""
        await asyncio.to_thread(self._list.add, {user_id: until_ms})
        self._last_known.forget(user_id)
        await self.refresh()

    async def refresh(self) -> None:
        """Heed what is new in the list."""
        async with self._refreshing:
            try:
                state = await asyncio.to_thread(self._list.state)
                if state != self._state:
                    await self._heed(await asyncio.to_thread(self._list.read))
                    self._state, self._is_readable = state, True
                elif self._cleared_ms < self._told_ms:
                    await self._heed(await asyncio.to_thread(self._list.read))
            except StoreError as error:
                self._tell(error)

    async def follow(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.refresh()

    async def _heed(self, forgotten: Forgotten) -> None:
        """Forget; what was last seen twice, since a request under way may remember it again."""
        self._models.forget(forgotten)
        new = forgotten.since(self._cleared_ms)
        for user_id in await asyncio.to_thread(_among, self._last_known.users(), new):
            self._last_known.forget(user_id)
        self._cleared_ms, self._told_ms = self._told_ms, forgotten.latest_ms

    def _tell(self, error: StoreError) -> None:
        self._models.forget(None)
        self._metrics.error(ErrorKind.BACKGROUND)
        if self._is_readable:
            log.error("%s; what training knew of shoppers is not used until then", error)
        self._state, self._is_readable = None, False


def _among(user_ids: list[str], hashes: Hashes) -> list[str]:
    """Return those of `user_ids` whose hash is one of `hashes`."""
    told = np.isin(stable_hashes(user_ids), hashes)
    return [user_id for user_id, is_one in zip(user_ids, told.tolist(), strict=True) if is_one]
