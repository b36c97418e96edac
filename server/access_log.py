"""The access log: a share of all requests, and those one wants to see, within bounds of each.

A line for each request would cost more than its answer. Every request is in the metrics; the log
shows what single ones looked like. No line holds what a shopper sent.
"""

import logging
from collections.abc import Callable
from random import random
from time import monotonic

from monitoring.labels import Route
from monitoring.latency import SLOW_REQUEST_S
from server.answer import Answer
from server.ration import Ration

log = logging.getLogger(__name__)

MOST_A_SECOND = 100
"""Lines of the share, and as many of what failed or was slow; what goes beyond is not told."""

_FAILED = 500


class AccessLog:
    """Logs a `share` of requests, and those that failed inside or were slow."""

    def __init__(self, share: float, clock: Callable[[], float] = monotonic) -> None:
        """Count lines by `clock`, in seconds."""
        self._share = share
        self._plain = Ration(MOST_A_SECOND, clock)
        self._alarming = Ration(MOST_A_SECOND, clock)

    def note(
        self,
        route: Route,
        status: int,
        seconds: float,
        request_id: str,
        answer: Answer | None,
        trace_id: str | None = None,
    ) -> None:
        """Log one answered request, if it is one to log; `trace_id` finds it among traces."""
        if status >= _FAILED or seconds > SLOW_REQUEST_S:
            is_told = self._alarming.allow()
        else:
            is_told = random() < self._share and self._plain.allow()  # noqa: S311 - no secret
        if is_told:
            told: dict[str, object] = {
                "route": route,
                "status": status,
                "ms": round(seconds * 1_000, 3),
                "request_id": request_id,
            }
            if answer is not None:
                told |= {"source": answer.source, "reason": answer.reason}
            if trace_id is not None:
                told["trace_id"] = trace_id
            log.info("%s %d in %.1f ms", route, status, told["ms"], extra={"fields": told})
