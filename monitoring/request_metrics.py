"""How many requests were answered, by what, and how long that took."""

import itertools
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram

from monitoring.labels import SHOPPER_ROUTES, Page, Route, Source, Stage
from monitoring.latency import LATENCY_BUCKETS_S, SLOW_REQUEST_S
from monitoring.tallies import Count, Observations

_NO_SOURCE = "none"
_OTHER_STATUS = 0
_STATUSES = frozenset(status.value for status in HTTPStatus)
# These exist at 0 from the start, so that the first failure is an increase and not a new series.
# Series nobody alerts on come with their first request: each costs time at every scrape.
_FIRST_STATUSES = ((Route.RECOMMENDATIONS, 200), (Route.EVENTS, 202))
_FAILED = (500, 503)


class RequestMetrics:
    """The metrics of requests, lists and their stages."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them with `registry`."""
        self._duration = Histogram(
            "cuvee_request_duration_seconds",
            "Time from a request being here to its response, by route and ladder rung.",
            ("route", "source"),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._durations: dict[tuple[Route, Source | None], Observations] = {}
        for source in Source:
            self._new_duration(Route.RECOMMENDATIONS, source)
        self._page = Histogram(
            "cuvee_page_duration_seconds",
            "Time from a request for a list being here to its response, by page and ladder rung.",
            ("page", "source"),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._pages: dict[tuple[Page, Source], Observations] = {}
        self._requests = Counter(
            "cuvee_requests",
            "Requests answered, by route and HTTP status.",
            ("route", "status"),
            registry=registry,
        )
        self._statuses: dict[tuple[Route, int], Count] = {}
        for route, well in _FIRST_STATUSES:
            for status in (well, *_FAILED):
                self._new_status(route, status)
        self._slow = Counter(
            "cuvee_slow_requests",
            "Requests a page waited for that took more than 200 ms.",
            registry=registry,
        )
        stage = Histogram(
            "cuvee_stage_duration_seconds",
            "Time of one stage of a recommendation.",
            ("stage",),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._stages = {each: Observations(stage.labels(each)) for each in Stage}

    def request(self, route: Route, source: Source | None, status: int, seconds: float) -> None:
        """Count one answered request; `source` is None where no ladder was climbed."""
        duration = self._durations.get((route, source)) or self._new_duration(route, source)
        duration.add(seconds)
        (self._statuses.get((route, status)) or self._new_status(route, status)).total += 1
        if seconds > SLOW_REQUEST_S and route in SHOPPER_ROUTES:
            self._slow.inc()

    def page(self, page: Page, source: Source, seconds: float) -> None:
        """Count one list by the page it is for."""
        seen = self._pages.get((page, source))
        if seen is None:
            seen = self._pages[page, source] = Observations(self._page.labels(page, source))
        seen.add(seconds)

    def stage(self, stage: Stage, seconds: float, times: int = 1) -> None:
        """Record that `stage` took `seconds` for so many recommendations together."""
        self._stages[stage].values += (seconds,) * times

    def enter(self) -> None:
        """Tell Prometheus what was noted since the last time."""
        seen = (self._durations, self._pages, self._stages)
        for each in itertools.chain.from_iterable(kind.values() for kind in seen):
            each.enter()
        for count in self._statuses.values():
            count.enter()

    def _new_duration(self, route: Route, source: Source | None) -> Observations:
        duration = Observations(self._duration.labels(route, source or _NO_SOURCE))
        self._durations[route, source] = duration
        return duration

    def _new_status(self, route: Route, status: int) -> Count:
        if status not in _STATUSES:
            status = _OTHER_STATUS
        if (route, status) not in self._statuses:
            child = self._requests.labels(route, str(status or "other"))
            self._statuses[route, status] = Count(child)
        return self._statuses[route, status]
