"""What a run saw, answer by answer: exact latencies by route, answers by source and reason."""

import json
import time
from array import array
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Tally:
    """Collects one run; keeps eight bytes a request, so that quantiles are exact."""

    def __init__(self) -> None:
        """Start the clocks."""
        self._latencies: dict[str, array[float]] = {}
        self._failed: Counter[str] = Counter()
        self._messages: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._started = time.perf_counter()
        self._started_cpu = time.process_time()

    def request(self, route: str, latency_ms: float, failure: object = None) -> None:
        """Count one request; `failure` is what was wrong with it, if anything."""
        self._latencies.setdefault(route, array("d")).append(latency_ms)
        if failure is not None:
            self._failed[route] += 1
            self._messages[f"{route}: {failure}"[:200]] += 1

    def answer(self, body: Mapping[str, Any]) -> None:
        """Count where one recommendation came from, and why if it was degraded."""
        self._sources[str(body.get("source"))] += 1
        if body.get("degraded"):
            self._reasons[str(body.get("reason"))] += 1

    def result(self, shape: str) -> dict[str, Any]:
        """Return the run as plain values; latencies in milliseconds."""
        seconds = time.perf_counter() - self._started
        cpu = time.process_time() - self._started_cpu
        return {
            "shape": shape,
            "seconds": round(seconds, 3),
            "generator_cpu_share": round(cpu / seconds, 3),
            "routes": {
                route: _figures(latencies, self._failed[route], seconds)
                for route, latencies in sorted(self._latencies.items())
            },
            "sources": dict(self._sources.most_common()),
            "reasons": dict(self._reasons.most_common()),
            "failures": dict(self._messages.most_common(10)),
        }

    def write(self, path: Path, shape: str) -> None:
        """Write the result as JSON."""
        path.write_text(json.dumps(self.result(shape), indent=1), encoding="utf-8")


def _figures(latencies: "array[float]", failures: int, seconds: float) -> dict[str, float]:
    ordered = sorted(latencies)
    return {
        "requests": len(ordered),
        "failures": failures,
        "rps": round(len(ordered) / seconds, 1),
        "p50_ms": _quantile(ordered, 0.50),
        "p95_ms": _quantile(ordered, 0.95),
        "p99_ms": _quantile(ordered, 0.99),
        "max_ms": round(ordered[-1], 2),
    }


def _quantile(ordered: list[float], share: float) -> float:
    """Return the smallest latency that at least `share` of the requests did not exceed."""
    index = -int(-share * len(ordered) // 1) - 1
    return round(ordered[max(index, 0)], 2)
