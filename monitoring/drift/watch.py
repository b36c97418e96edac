"""Watches whichever model serves, from one to the next."""

import time
from collections.abc import Callable
from pathlib import Path

from features.errors import StoreError
from features.online.valkey_client import Client
from models.errors import ModelsError
from models.reference.sample import COUNTRY
from models.reference.scores import SCORES
from models.reference.stored import read_reference
from models.registry import Registry
from monitoring.drift.counters import Counters
from monitoring.drift.journal import Journal
from monitoring.drift.metrics import DriftMetrics
from monitoring.drift.monitor import HORIZON, Monitor
from monitoring.drift.policy import Policy
from monitoring.drift.reference import references_of

KEPT_WINDOWS = HORIZON + 8

WITHOUT_SCORES = (
    "the model holds no reference of scores: it ranks for nobody, or was made by an earlier "
    "version; train anew"
)


class Watch:
    """Watches whichever model serves from `home`, until it is told to stop."""

    name = "drift"

    def __init__(
        self,
        home: Path,
        policy: Policy,
        client: Client,
        metrics: DriftMetrics,
        journal: Journal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Watch nothing yet."""
        self._home = home
        self._policy = policy
        self._client = client
        self._metrics = metrics
        self._journal = journal
        self._clock = clock
        self._registry = Registry(home)
        self._version: str | None = None
        self._monitor: Monitor | None = None

    async def step(self) -> None:
        """Do what is to be done now; say what is in the way of it."""
        try:
            version = self._registry.resolve("production")
            if self._monitor is None or version != self._version:
                self._monitor = self._open(version)
                self._version = version
                self._journal.tell("watching", version=version)
            await self._monitor.step()
        except (StoreError, ModelsError, OSError) as error:
            self._metrics.watching(False)
            self._journal.tell("blind", reason=str(error))
        else:
            self._metrics.watching(True)

    async def close(self) -> None:
        """Let go of the store."""
        await self._client.aclose()

    def _open(self, version: str) -> Monitor:
        told = read_reference(self._registry.directory / version)
        if told.values.keys().isdisjoint(SCORES):
            self._journal.tell("scores are not watched", reason=WITHOUT_SCORES, version=version)
        rows = self._policy.watched(told)
        references = references_of(rows, [COUNTRY])
        self._metrics.watching_scores(len(references) > 1)
        what = f"{version} {self._policy.window_minutes}"
        keep_s = KEPT_WINDOWS * self._policy.window_minutes * 60
        return Monitor(
            self._home,
            version,
            references,
            self._policy,
            Counters(self._client, [each.columns for each in references], what, keep_s),
            self._metrics,
            self._journal,
            self._clock,
        )
