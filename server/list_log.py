"""Every list that was served, kept beside the answers.

answer ─ a line ─ bounded queue ─ a thread, soon ─ segments below CUVEE_HOME/lists

A line is made on the loop, once the answer has left: what it is made of would be cold by the time
a thread came to it, and cost the next answers more than the line does. What there is no room for,
or what the disk refuses, is dropped and counted: no answer waits.
"""

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import time

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
"""Lines of one process, some 2 KB each."""

EVERY_S = 0.2
WAKES_AT = 512
"""So many lines wait for no others: to wake the thread costs the loop as much as forty lines."""

TOGETHER = 48
"""Lines that are written at once: some 100 KB, which are joined in no time that answers notice."""


class ListLog:
    """Writes every list that `note` is told of; `note` is for the event loop."""

    def __init__(self, home: Path, most_bytes: int, on_drop: Callable[[int], None]) -> None:
        """Write below `home` at most `most_bytes` that wait to be carried on; 0 for nothing at all.

        `on_drop` is called with the number of lists that are lost, from any thread.
        """
        self._is_on = most_bytes > 0
        self._on_drop = on_drop
        self._waiting: deque[bytes] = deque()
        self._writer = SegmentWriter(home, most_bytes)
        self._lost = 0
        self._told_lost = 0
        self._due = Event()
        self._stopped = False
        self._thread = Thread(target=self._run, name="list-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        if self._is_on:
            self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Write what waits, for as long as `timeout_s` seconds."""
        self._stopped = True
        self._due.set()
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
        if not self._is_on:
            return
        waiting = self._waiting
        if len(waiting) >= MOST_WAITING:
            self._lost += 1
            return
        try:
            waiting.append(_line(body, answer, user_id, cursor, trial))
        except Exception:  # whoever asked gets the list all the same
            log.exception("a served list is not logged")
            self._on_drop(1)
        if len(waiting) >= WAKES_AT and not self._due.is_set():
            self._due.set()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._due.wait(EVERY_S)
            self._due.clear()
            is_last = self._stopped
            self._tell_lost()
            while self._waiting:
                self._write([self._waiting.popleft() for _ in range(self._together())])
            self._tend(self._writer.tend)
        self._tend(self._writer.close)

    def _together(self) -> int:
        return min(len(self._waiting), TOGETHER)

    def _write(self, lines: list[bytes]) -> None:
        try:
            self._writer.write(lines)
        except OSError as error:
            log.warning("served lists are not logged: %s", error)
            self._on_drop(len(lines))
        except Exception:  # the next ones may be others
            log.exception("served lists are not logged")
            self._on_drop(len(lines))

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
) -> bytes:
    after = 0 if cursor is None else shown_before(cursor)
    variant = None if trial is None else trial.variant(user_id, answer)
    used = None if answer.used is None else _used(answer.used)
    noted = Noted(int(time() * 1_000), answer.page, variant, after, answer.propensities, used)
    return line.encode(body, noted)


def _used(told: UsedRow) -> UsedFeatures:
    return UsedFeatures(told.values, FEATURE_SET.schema_hash, told.as_of_ms)
