"""The last minute second by second, over all workers: for who draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from monitoring import window
from monitoring.snapshot import MAX_WINDOW_S, stamp_of
from monitoring.window import Cells

Latencies = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Seconds:
    """One value for each second that is over, the oldest first; no latency where no request."""

    requests: tuple[int, ...]
    p50_ms: Latencies
    p95_ms: Latencies
    p99_ms: Latencies

    @classmethod
    def of(cls, workers: Sequence[Cells], now_s: float) -> Self:
        """Add up the slots of `workers` for each of the 60 seconds before the present one."""
        bins = np.zeros((MAX_WINDOW_S, window.BINS), np.uint64)
        for cells in workers:
            slots = cells[window.SLOTS_START :].reshape(-1, window.SLOT_CELLS)
            age = stamp_of(now_s) - slots[:, window.STAMP].astype(np.int64)
            over = (slots[:, window.STAMP] != 0) & (age >= 1) & (age <= MAX_WINDOW_S)
            # A worker has one slot for a second, so that no row is named twice.
            bins[MAX_WINDOW_S - age[over]] += slots[over, window.SLOT_HEAD :]
        upto = bins.cumsum(axis=1)
        return cls(
            tuple(upto[:, -1].tolist()),
            *(_quantile_ms(upto, share) for share in (0.50, 0.95, 0.99)),
        )


def _quantile_ms(upto: Cells, share: float) -> Latencies:
    """Return what `monitoring.snapshot.quantile_ms` does, of each row of bins added up."""
    requests = upto[:, -1]
    places = (upto < np.ceil(share * requests)[:, None]).sum(axis=1)
    told = window.LOWEST_S * np.exp((places + 0.5) / window.BINS_PER_E) * 1e3
    pairs = zip(told.round(3).tolist(), requests.tolist(), strict=True)
    return tuple(each if count else None for each, count in pairs)
