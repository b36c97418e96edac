"""What the last minute looked like: the windows of all live workers added up."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

from monitoring import window
from monitoring.labels import Source
from monitoring.window import Cells

MAX_WINDOW_S: Final = window.SLOTS - 4
_EPOCH: Final = 1 << 62


class AlertKind(StrEnum):
    """What is worth saying at once."""

    HIGH_LATENCY = "high_latency"
    FALLBACK_USED = "fallback_used"


KINDS: Final = tuple(AlertKind)

SOURCES: Final = {
    Source.CACHE: window.CACHE_HITS,
    Source.MODEL: window.MODEL,
    Source.SEGMENT: window.SEGMENT,
    Source.GLOBAL: window.GLOBAL,
}
"""The cell in which lists of each rung of the ladder are counted."""


@dataclass(frozen=True, slots=True)
class RecentAlert:
    """One alert; `at` in seconds UTC."""

    kind: AlertKind
    at: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class AlertSummary:
    """The alerts of one kind: in the window, and since the oldest live worker started."""

    kind: AlertKind
    count: int
    total: int
    first_at: float | None
    last_at: float | None
    recent: tuple[RecentAlert, ...]


@dataclass(frozen=True, slots=True)
class RealTimeSnapshot:
    """The window's figures; rates and latencies are None where there was no request.

    `sources` counts lists by the rung of the ladder; what ended without a list is in none.
    """

    window_seconds: int
    workers: int
    request_count: int
    avg_latency_ms: float | None
    p50_latency_ms: float | None
    p95_latency_ms: float | None
    p99_latency_ms: float | None
    cache_hit_rate: float | None
    fallback_rate: float | None
    error_rate: float | None
    sources: Mapping[str, int]
    alerts: tuple[AlertSummary, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and numbers, ready for JSON."""
        return asdict(self)


def summarise(workers: Sequence[Cells], now_s: float, window_s: int) -> RealTimeSnapshot:
    """Add up the slots of `workers` that lie within `window_s` seconds before `now_s`."""
    slots = _slots(workers, now_s, window_s)
    total = slots.sum(axis=0, dtype=np.uint64)
    bins = total[window.SLOT_HEAD :]
    requests = int(bins.sum(dtype=np.uint64))
    counts = {
        AlertKind.HIGH_LATENCY: int(total[window.SLOW]),
        AlertKind.FALLBACK_USED: int(total[window.FALLBACKS]),
    }
    return RealTimeSnapshot(
        window_seconds=window_s,
        workers=len(workers),
        request_count=requests,
        avg_latency_ms=_share(int(total[window.LATENCY_NS]) / 1e6, requests, 3),
        p50_latency_ms=quantile_ms(bins, 0.50),
        p95_latency_ms=quantile_ms(bins, 0.95),
        p99_latency_ms=quantile_ms(bins, 0.99),
        cache_hit_rate=_share(int(total[window.CACHE_HITS]), requests, 6),
        fallback_rate=_share(int(total[window.FALLBACKS]), requests, 6),
        error_rate=_share(int(total[window.ERRORS]), requests, 6),
        sources={source.value: int(total[cell]) for source, cell in SOURCES.items()},
        alerts=tuple(_alerts(workers, kind, counts[kind]) for kind in KINDS),
    )


def _slots(workers: Sequence[Cells], now_s: float, window_s: int) -> Cells:
    """Return the slots of the window, uint64[n, SLOT_CELLS]; stamps ahead of now do not count."""
    shape = (-1, window.SLOT_CELLS)
    if not workers:
        return np.zeros((0, window.SLOT_CELLS), dtype=np.uint64)
    every = np.concatenate([cells[window.SLOTS_START :].reshape(shape) for cells in workers])
    age = stamp_of(now_s) - every[:, window.STAMP].astype(np.int64)
    written = every[:, window.STAMP] != 0
    within: Cells = every[written & (age >= 0) & (age < window_s)]
    return within


def stamp_of(now_s: float) -> int:
    """Return the stamp of the slot for clock reading `now_s`, negative ones included; never 0."""
    return math.floor(now_s) + _EPOCH


def quantile_ms(bins: Cells, share: float) -> float | None:
    """Return the latency that `share` of the requests did not exceed, None without requests.

    The geometric middle of its bin: at most 2.7 % off.
    """
    upto = np.cumsum(bins, dtype=np.uint64)
    requests = int(upto[-1])
    if not requests:
        return None
    index = int(np.searchsorted(upto, math.ceil(share * requests)))
    return round(window.LOWEST_S * math.exp((index + 0.5) / window.BINS_PER_E) * 1e3, 3)


def _share(part: float, whole: int, digits: int) -> float | None:
    return round(part / whole, digits) if whole else None


def _alerts(workers: Sequence[Cells], kind: AlertKind, count: int) -> AlertSummary:
    start = window.ALERTS_START + KINDS.index(kind) * window.ALERT_CELLS
    own = [cells[start : start + window.ALERT_CELLS] for cells in workers]
    raised = [cells for cells in own if cells[window.TOTAL]]
    recent = sorted(_recent(workers, kind), key=lambda alert: alert.at, reverse=True)
    return AlertSummary(
        kind=kind,
        count=count,
        total=sum(int(cells[window.TOTAL]) for cells in raised),
        first_at=min((int(cells[window.FIRST_MS]) / 1e3 for cells in raised), default=None),
        last_at=max((int(cells[window.LAST_MS]) / 1e3 for cells in raised), default=None),
        recent=tuple(recent[: window.RECENT]),
    )


def _recent(workers: Sequence[Cells], kind: AlertKind) -> Iterable[RecentAlert]:
    number = KINDS.index(kind) + 1
    for cells in workers:
        rows = cells[window.RECENT_START : window.SLOTS_START].reshape(-1, window.RECENT_CELLS)
        for of_kind, at_ms, latency_us in rows.tolist():
            if of_kind == number:
                yield RecentAlert(kind, at_ms / 1e3, latency_us / 1e3)
