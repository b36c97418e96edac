"""Which series an objective counts: a metric of ours and conditions on its labels.

    cuvee_requests_total{route="events",status!~"4.."}

A metric or label that is not there, or a bound that is none of a histogram's, would be an alert
that never fires: it is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from features.errors import FieldError
from features.yaml_fields import unknown
from monitoring.drift.metrics import DriftMetrics
from monitoring.metrics import Metrics

OF_SCRAPES = ("job", "instance")
"""Labels that Prometheus gives every series."""

_BOUND = "le"
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?", re.DOTALL)
_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')


class Kind(StrEnum):
    """What a series is."""

    COUNTER = "counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Exposed:
    """A series that is exposed: its labels, and its bounds where it counts what is within one."""

    kind: Kind
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()


@lru_cache(1)
def exposed_series() -> Mapping[str, Exposed]:
    """Return every series of the service and of the drift monitor by its name."""
    registry = CollectorRegistry()
    Metrics(registry)
    DriftMetrics(registry)
    # What is declared: a family without children exposes nothing yet.
    declared = set(registry._names_to_collectors.values())  # noqa: SLF001
    return {
        name: series
        for each in declared
        if isinstance(each, MetricWrapperBase)
        for name, series in _series(each).items()
    }


def _series(metric: MetricWrapperBase) -> dict[str, Exposed]:
    name, labels = metric._name, tuple(metric._labelnames)  # noqa: SLF001
    if isinstance(metric, Histogram):
        counted = Exposed(Kind.COUNTER, labels)
        bounds = tuple(metric._upper_bounds)  # noqa: SLF001
        within = Exposed(Kind.COUNTER, (*labels, _BOUND), bounds)
        return {f"{name}_count": counted, f"{name}_sum": counted, f"{name}_bucket": within}
    if isinstance(metric, Counter):
        return {f"{name}_total": Exposed(Kind.COUNTER, labels)}
    return {name: Exposed(Kind.GAUGE, labels)} if isinstance(metric, Gauge) else {}


def read_selector(raw: object, kind: Kind, where: str) -> str:
    """Return the selector in `raw`, of series of a `kind`; raise `FieldError` naming `where`."""
    found = _SELECTOR.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise FieldError(where, f'expected metric{{label="value"}}, got {raw!r:.80}')
    metric, matchers = found[1], found[2] or ""
    series = exposed_series().get(metric)
    if series is None:
        raise FieldError(where, unknown(metric, _names(kind)))
    if series.kind is not kind:
        raise FieldError(where, f"expected a {kind}, got the {series.kind} {metric}")
    for label, sign, value in _matchers(matchers, where):
        _check(series, label, sign, value, where)
    return found[0]


def _names(kind: Kind) -> list[str]:
    return sorted(name for name, series in exposed_series().items() if series.kind is kind)


def _matchers(text: str, where: str) -> list[tuple[str, str, str]]:
    """Return label, sign and value of each condition."""
    matchers, place = [], 0
    while place < len(text):
        found = _MATCHER.match(text, place)
        if found is None:
            raise FieldError(where, f'expected label="value", got {text[place:].strip()!r:.80}')
        matchers.append((found[1], found[2], found[3]))
        place = found.end()
    return matchers


def _check(series: Exposed, label: str, sign: str, value: str, where: str) -> None:
    known = (*series.labels, *OF_SCRAPES)
    if label not in known:
        raise FieldError(where, unknown(label, known))
    if label == _BOUND:
        bounds = [f"{bound:g}" for bound in series.bounds if bound != float("inf")]
        if sign != "=" or value not in bounds:
            told = f"{label}{sign}{value}"
            raise FieldError(where, f"expected le= one of {', '.join(bounds)}; got {told!r:.40}")
    if sign in {"=~", "!~"}:
        try:
            re.compile(value)
        except re.error as error:
            raise FieldError(where, f"{label}: no regular expression: {error}") from None
