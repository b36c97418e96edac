"""How fast answers from below the model burn what is allowed of them, by reason.

    /metrics of each service ─ increases, added up ─ share of the last long span and short span
                                                     └ both too much: a finding

Two spans as in the SRE Workbook (chapter 5): the long one says that it matters, the short one that
it goes on. Counts begin anew where another model comes to serve, so that a finding is about the
model that caused it.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from monitoring.finding import Finding, Kind, Severity
from monitoring.labels import Reason, Route
from monitoring.response.errors import ExchangeError
from monitoring.response.http import exchange
from monitoring.response.policy import FallbackBurn, Policy

WITHIN_S = 3.0
"""How long a service may take to show its metrics."""

NOT_BURNT = frozenset({Reason.UNKNOWN_USER, Reason.FALLBACK_SHARE})
"""Reasons that say nothing against the model: strangers, and what was done on purpose."""

_REQUESTS = "requests"
_OK = 200


@dataclass(frozen=True, slots=True)
class Told:
    """What a service tells: the models that serve there, and counts since it was started."""

    versions: frozenset[str]
    counts: Mapping[str, int]


@dataclass(slots=True)
class _Spans:
    """Counts of all services together, as they were at each look, the oldest first."""

    looks: deque[tuple[float, Counter[str]]] = field(default_factory=deque)

    def over(self, span_s: float, now_s: float) -> Counter[str]:
        """Return what was counted in the last `span_s` seconds, or in as many as are known."""
        first = self.looks[0][1]
        for at_s, counts in self.looks:
            if at_s > now_s - span_s:
                break
            first = counts
        return self.looks[-1][1] - first


class BurnSource:
    """Asks services for what they counted; nothing of it outlives this process."""

    kind = Kind.FALLBACK_BURN

    def __init__(
        self, clock: Callable[[], float], steady: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask nobody yet; `clock` tells seconds since 1970, `steady` never goes back."""
        self._clock = clock
        self._steady = steady
        self._version: str | None = None
        self._before: dict[str, Told] = {}
        self._spans = _Spans()
        self._new: Counter[str] = Counter()

    async def findings(self, policy: Policy) -> Sequence[Finding] | None:
        """Return each reason that burns too fast; raise `ExchangeError` where nobody answers.

        None where too little was asked for, or between two models.
        """
        burn = policy.burn
        told = await _asked(burn.services)
        self._count(told)
        version = self._serving(told)
        now_s = self._steady()
        if version is None or version != self._version:
            self._version, self._spans = version, _Spans()
        last = self._spans.looks[-1][1] if self._spans.looks else Counter[str]()
        self._spans.looks.append((now_s, last + self._new))
        while len(self._spans.looks) > 2 and self._spans.looks[1][0] < now_s - _longest_s(burn):
            self._spans.looks.popleft()
        return None if version is None else self._found(burn, version, now_s)

    def _count(self, told: Mapping[str, Told]) -> None:
        """Note what each service has counted since it told last; the first time that is nothing."""
        self._new = Counter()
        for name, each in told.items():
            before = self._before.get(name)
            if before is not None:
                self._new.update(_increase(before.counts, each.counts))
        self._before.update(told)

    def _serving(self, told: Mapping[str, Told]) -> str | None:
        versions = frozenset[str]().union(*(each.versions for each in told.values()))
        return next(iter(versions)) if len(versions) == 1 else None

    def _found(self, burn: FallbackBurn, version: str, now_s: float) -> list[Finding] | None:
        if self._spans.over(_longest_s(burn), now_s)[_REQUESTS] < burn.least_requests:
            return None
        return [
            finding
            for reason in Reason
            if reason not in NOT_BURNT
            and (finding := self._finding(burn, reason, version, now_s)) is not None
        ]

    def _finding(
        self, burn: FallbackBurn, reason: Reason, version: str, now_s: float
    ) -> Finding | None:
        for severity, each in ((Severity.HIGH, burn.fast), (Severity.MEDIUM, burn.slow)):
            limit = min(each.times * burn.allowed, 1.0)
            counted = self._spans.over(each.long_s, now_s)
            if counted[_REQUESTS] < burn.least_requests:
                continue
            value = _share(counted, reason)
            recent = _share(self._spans.over(each.short_s, now_s), reason)
            if min(value, recent) >= limit:
                at_s = self._clock()
                ended_s = at_s // burn.fast.short_s * burn.fast.short_s
                return Finding(
                    kind=Kind.FALLBACK_BURN,
                    subject=str(reason),
                    severity=severity,
                    value=value,
                    threshold=limit,
                    effect=value / limit - 1,
                    start_s=ended_s - each.long_s,
                    end_s=ended_s,
                    version=version,
                    at_s=at_s,
                )
        return None


async def _asked(services: Sequence[str]) -> dict[str, Told]:
    """Return what each service tells that answers; raise `ExchangeError` where none does."""
    answers: dict[str, Told] = {}
    reasons: list[str] = []

    async def ask(url: str) -> None:
        try:
            answers[url] = await scrape(url)
        except ExchangeError as error:
            reasons.append(f"{url}: {error}")

    async with asyncio.TaskGroup() as group:
        for url in services:
            group.create_task(ask(url))
    if not answers:
        raise ExchangeError("; ".join(reasons) or "no service is named")
    return answers


async def scrape(url: str) -> Told:
    """Return what the service at `url` tells; raise `ExchangeError`."""
    status, body = await exchange(f"{url}/metrics", within_s=WITHIN_S)
    if status != _OK:
        raise ExchangeError(f"/metrics: status {status}")
    counts: Counter[str] = Counter()
    versions = set()
    try:
        for family in text_string_to_metric_families(body.decode()):
            for sample in family.samples:
                if sample.name == "cuvee_requests_total":
                    if sample.labels["route"] == Route.RECOMMENDATIONS:
                        counts[_REQUESTS] += int(sample.value)
                elif sample.name == "cuvee_fallback_total":
                    counts[sample.labels["reason"]] += int(sample.value)
                elif sample.name == "cuvee_model_info" and sample.value == 1:
                    versions.add(sample.labels["version"])
    except (ValueError, KeyError) as error:
        raise ExchangeError(f"/metrics: {error}") from None
    if _REQUESTS not in counts:
        raise ExchangeError("/metrics: those of no service")
    return Told(frozenset(versions), counts)


def _increase(before: Mapping[str, int], now: Mapping[str, int]) -> Mapping[str, int]:
    """Return what came on top; a service that was started anew counts from nothing."""
    is_new = any(now.get(name, 0) < value for name, value in before.items())
    return now if is_new else {name: value - before.get(name, 0) for name, value in now.items()}


def _share(counts: Counter[str], reason: Reason) -> float:
    return counts[reason] / counts[_REQUESTS] if counts[_REQUESTS] else 0.0


def _longest_s(burn: FallbackBurn) -> float:
    return max(burn.fast.long_s, burn.slow.long_s)
