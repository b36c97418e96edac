"""The features that models really used, and how they scored: a sample, beside the answers.

batch ─ some of its shoppers ─ bounded queue ─ a thread ─ CUVEE_HOME/served

What there is no room for, or what the disk refuses, is dropped and counted: no answer waits.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from math import isnan
from pathlib import Path
from queue import Empty, Full, Queue
from random import random
from threading import Thread

from features.declared import FEATURE_SET
from features.skew.served import Served, append
from models.batch import Batch
from models.reference.scores import summary
from server.ration import Ration

log = logging.getLogger(__name__)

MOST_A_SECOND = 10
"""Shoppers noted by one process; a line is some 400 bytes."""

QUEUE_LENGTH = 1_000


class ServedLog:
    """Notes a `share` of the shoppers that were ranked for, from any thread."""

    def __init__(
        self,
        home: Path,
        share: float,
        on_drop: Callable[[int], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Write below `home`; call `on_drop` with the number of shoppers that are lost."""
        self._home = home
        self._share = share
        self._on_drop = on_drop
        self._clock = clock
        self._ration = Ration(MOST_A_SECOND, clock)
        self._queue: Queue[Served | None] = Queue(QUEUE_LENGTH)
        self._thread = Thread(target=self._write, name="served-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, for as long as `timeout_s` seconds."""
        if self._thread.is_alive():
            try:
                self._queue.put(None, timeout=timeout_s)
            except Full:
                return
            self._thread.join(timeout_s)

    def note(self, batch: Batch) -> None:
        """Note some of the shoppers of a batch: those whose features its model used, or scored."""
        if not self._share:
            return
        for row in range(len(batch)):
            if random() < self._share:  # noqa: S311 - no secret
                self._note(batch, row)

    def _note(self, batch: Batch, row: int) -> None:
        scores = batch.scores_of(row)
        if (batch.used is None and scores is None) or not self._ration.allow():
            return
        told = None if scores is None else summary(scores)
        if batch.used is None and told is None:
            return
        try:
            self._queue.put_nowait(self._served(batch, row, told))
        except Full:
            self._on_drop(1)

    def _served(self, batch: Batch, row: int, scores: tuple[float, float] | None) -> Served:
        used, values = batch.used, list[float | None]()
        moment = batch.requests[row].moment
        if used is not None:
            moment = used.moments[row]
            values = [None if isnan(each) else each for each in used.values[row].tolist()]
        return Served(
            batch.requests[row].user_id,
            int(self._clock() * 1_000),
            moment.as_of_ms,
            moment.country,
            moment.latitude,
            FEATURE_SET.schema_hash,
            values,
            None if moment.home is None else str(moment.home),
            batch.requests[row].recommendation_id or None,
            batch.version,
            scores,
        )

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            served, ended = [first], False
            for each in self._queued():
                if each is None:
                    ended = True
                    break
                served.append(each)
            try:
                append(self._home, str(os.getpid()), served)
            except OSError as error:
                log.warning("served features are not logged: %s", error)
                self._on_drop(len(served))
            if ended:
                return

    def _queued(self) -> Iterator[Served | None]:
        """Yield what else is in the queue now."""
        while True:
            try:
                yield self._queue.get_nowait()
            except Empty:
                return
