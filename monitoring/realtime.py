"""The last minute of this service, second by second, and an immediate word when it goes wrong.

record ─ this second's slot of this worker's window file      (about 1 µs, constant memory)
snapshot ─ all live workers' windows added up: exact, since slots hold counts and not averages
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Final

from monitoring import window
from monitoring.labels import Source
from monitoring.latency import SLOW_REQUEST_S
from monitoring.seconds import Seconds
from monitoring.snapshot import (
    KINDS,
    MAX_WINDOW_S,
    SOURCES,
    AlertKind,
    RealTimeSnapshot,
    stamp_of,
    summarise,
)
from monitoring.window import (
    BINS_PER_E,
    HIGHEST_S,
    LATENCY_NS,
    LOWEST_S,
    SLOT_HEAD,
    Cells,
    WindowFile,
    read_windows,
)

ALERT_INTERVAL_S: Final = 10.0
_SLOT_ZEROS: Final = memoryview(bytes(window.SLOT_CELLS * 8)).cast("Q")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert handed to the callback; `suppressed` counts those since the one before."""

    kind: AlertKind
    at: float
    latency_ms: float
    request_id: str
    suppressed: int


class RealTimeMonitor:
    """Rolling window over all workers that share `directory`; `record` is for one thread.

    `on_alert` hears the first alert of a kind at once and then at most one each ten seconds: it
    may log. `clock` must be shared by the workers of a machine (CLOCK_MONOTONIC is); should it
    step back, the seconds ahead of it are forgotten; should it jump ahead, the window is empty.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        on_alert: Callable[[Alert], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Open this worker's window under `directory`; None keeps it to this process."""
        self._directory = directory
        self._on_alert = on_alert
        self._clock = clock
        self._wall = wall
        self._file = WindowFile(directory)
        self._cells = self._file.cells
        self._second = math.nan
        self._base = window.SLOTS_START
        self._told_at: dict[AlertKind, float] = {}
        self._suppressed = dict.fromkeys(KINDS, 0)

    @property
    def shared(self) -> bool:
        """Whether other workers can see this one's window."""
        return self._file.shared

    def record(
        self,
        latency_s: float,
        source: Source | None = None,
        fallback: bool = False,
        error: bool = False,
        request_id: str = "",
    ) -> None:
        """Count one answered request; impossible latencies count as the nearest possible one.

        `source` is the rung of the ladder that answered, None where there was no list.
        """
        second = self._clock() // 1
        if second != self._second:
            self._turn(second)
        cells, base = self._cells, self._base
        place = base + SLOT_HEAD
        if latency_s > LOWEST_S:
            latency_s = min(latency_s, HIGHEST_S)
            place += int(log(latency_s / LOWEST_S) * BINS_PER_E)
        elif not latency_s >= 0.0:
            latency_s = 0.0
        cells[place] += 1
        cells[base + LATENCY_NS] += int(latency_s * 1e9)
        if source is not None:
            cells[base + SOURCES[source]] += 1
        if error:
            cells[base + window.ERRORS] += 1
        if fallback:
            cells[base + window.FALLBACKS] += 1
            self._alert(AlertKind.FALLBACK_USED, latency_s, request_id)
        if latency_s > SLOW_REQUEST_S:
            cells[base + window.SLOW] += 1
            self._alert(AlertKind.HIGH_LATENCY, latency_s, request_id)

    def snapshot(self, window_s: int = MAX_WINDOW_S) -> RealTimeSnapshot:
        """Return the figures of the last `window_s` seconds, 1 to 60, over all live workers."""
        if not 1 <= window_s <= MAX_WINDOW_S:
            raise ValueError(f"window_s: expected 1 to {MAX_WINDOW_S}, got {window_s}")
        return summarise(self._windows(), self._clock(), window_s)

    def minute(self) -> tuple[RealTimeSnapshot, Seconds]:
        """Return the figures of the last minute, and the minute second by second."""
        workers, now = self._windows(), self._clock()
        return summarise(workers, now, MAX_WINDOW_S), Seconds.of(workers, now)

    def close(self) -> None:
        """Remove this worker's window."""
        self._cells.release()
        self._file.close()

    def _windows(self) -> list[Cells]:
        """Return the cells of all live workers, this one's among them."""
        workers = [] if self._directory is None else list(read_windows(self._directory))
        if not self._file.shared:
            workers.append(self._file.array())
        return workers

    def _turn(self, second: float) -> None:
        stamp = stamp_of(second)
        base = window.SLOTS_START + stamp % window.SLOTS * window.SLOT_CELLS
        if self._cells[base + window.STAMP] != stamp:
            # Zeroes carry stamp 0, so a reader never takes half an old slot for a new one.
            self._cells[base : base + window.SLOT_CELLS] = _SLOT_ZEROS
            self._cells[base + window.STAMP] = stamp
        self._second = second
        self._base = base

    def _alert(self, kind: AlertKind, latency_s: float, request_id: str) -> None:
        now = self._wall()
        self._remember(kind, int(max(now, 0.0) * 1e3), int(latency_s * 1e6))
        if self._on_alert is None:
            return
        told = self._told_at.get(kind)
        if told is not None and 0.0 <= now - told < ALERT_INTERVAL_S:
            self._suppressed[kind] += 1
            return
        suppressed, self._suppressed[kind] = self._suppressed[kind], 0
        self._told_at[kind] = now
        self._on_alert(Alert(kind, now, latency_s * 1e3, request_id, suppressed))

    def _remember(self, kind: AlertKind, at_ms: int, latency_us: int) -> None:
        cells, index = self._cells, KINDS.index(kind)
        totals = window.ALERTS_START + index * window.ALERT_CELLS
        if not cells[totals + window.TOTAL]:
            cells[totals + window.FIRST_MS] = at_ms
        cells[totals + window.TOTAL] += 1
        cells[totals + window.LAST_MS] = at_ms
        turn = cells[window.RECENT_CURSOR]
        cells[window.RECENT_CURSOR] = turn + 1
        row = window.RECENT_START + turn % window.RECENT * window.RECENT_CELLS
        cells[row], cells[row + 1], cells[row + 2] = index + 1, at_ms, latency_us
