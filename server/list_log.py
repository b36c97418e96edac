"""Every list that was served, kept beside the answers.

answer ─ bounded queue ─ a thread, a few times a second ─ segments below CUVEE_HOME/lists

A request leaves what it has at hand; lines are made of it by the thread. What there is no room
for, or what the disk refuses, is dropped and counted: no answer waits.
"""

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import time
from typing import TypeAlias

from features.declared import FEATURE_SET
from features.lists import line
from features.lists.line import Noted, UsedFeatures
from features.lists.spool import SegmentWriter
from models.used import UsedRow
from server.answer import Answer
from server.pages import shown_before
from server.trial import Trial

log = logging.getLogger(__name__)

MOST_WAITING = 4_096
"""Lists of one process; each keeps its answer, some 2 KB, and its run's features, 1 KB at most."""

EVERY_S = 0.2
TOGETHER = 48
"""Lists that are written at once: making more lines would keep the event loop waiting."""

_Waiting: TypeAlias = tuple[bytes, Answer, str, str | None, Trial | None, float]


class ListLog:
    """Writes every list that `note` is told of; `note` is for the event loop."""

    def __init__(self, home: Path, most_bytes: int, on_drop: Callable[[int], None]) -> None:
        """Write below `home` at most `most_bytes` that wait to be carried on; 0 for nothing at all.

        `on_drop` is called with the number of lists that are lost, from the thread.
        """
        self._is_on = most_bytes > 0
        self._on_drop = on_drop
        self._waiting: deque[_Waiting] = deque()
        self._writer = SegmentWriter(home, most_bytes)
        self._lost = 0
        self._told_lost = 0
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="list-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        if self._is_on:
            self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Write what waits, for as long as `timeout_s` seconds."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def note(
        self,
        body: bytes,
        answer: Answer,
        user_id: str,
        cursor: str | None,
        trial: Trial | None,
    ) -> None:
        """Keep an answer as it is sent; `user_id` and `cursor` are the request's."""
        if len(self._waiting) < MOST_WAITING:
            if self._is_on:
                self._waiting.append((body, answer, user_id, cursor, trial, time()))
        else:
            self._lost += 1

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopped.wait(EVERY_S)
            self._tell_lost()
            while self._waiting:
                self._write([self._waiting.popleft() for _ in range(self._together())])
            self._tend(self._writer.tend)
        self._tend(self._writer.close)

    def _together(self) -> int:
        return min(len(self._waiting), TOGETHER)

    def _write(self, noted: list[_Waiting]) -> None:
        try:
            self._writer.write([_line(*each) for each in noted])
        except OSError as error:
            log.warning("served lists are not logged: %s", error)
            self._on_drop(len(noted))
        except Exception:  # the next ones may be others
            log.exception("served lists are not logged")
            self._on_drop(len(noted))

    def _tend(self, act: Callable[[], int | None]) -> None:
        try:
            dropped = act()
        except OSError as error:
            log.warning("served lists are not carried on: %s", error)
        else:
            if dropped:
                log.warning("%d served lists were dropped: nobody carries them", dropped)
                self._on_drop(dropped)

    def _tell_lost(self) -> None:
        """Tell of what there was no room for; only the loop adds to its number."""
        lost = self._lost
        if lost > self._told_lost:
            self._on_drop(lost - self._told_lost)
            self._told_lost = lost


def _line(
    body: bytes,
    answer: Answer,
    user_id: str,
    cursor: str | None,
    trial: Trial | None,
    at_s: float,
) -> bytes:
    after = 0 if cursor is None else shown_before(cursor)
    variant = None if trial is None else trial.variant(user_id, answer)
    used = None if answer.used is None else _used(answer.used)
    noted = Noted(int(at_s * 1_000), answer.page, variant, after, answer.propensities, used)
    return line.encode(body, noted)


def _used(told: UsedRow) -> UsedFeatures:
    return UsedFeatures(told.values(), FEATURE_SET.schema_hash, told.as_of_ms)
