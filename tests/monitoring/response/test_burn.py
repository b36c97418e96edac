"""Fallbacks that burn: counted at real services, over two spans, for the model that serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from monitoring.finding import Finding, Severity
from monitoring.labels import Reason, Route, Source
from monitoring.metrics import Metrics
from monitoring.response.burn import BurnSource
from monitoring.response.errors import ExchangeError
from monitoring.response.parse import parse_policy
from monitoring.response.policy import Policy
from tests.support.found import START_S
from tests.support.process import free_port
from tests.support.receivers import listening


class Shop:
    """A service as its metrics show it."""

    def __init__(self, version: str = "v1") -> None:
        """Serve with a model."""
        self.start(version)

    def start(self, version: str) -> None:
        """Start anew: all counts are 0."""
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.metrics.model(version)

    def ask(self, times: int, reason: Reason | None = None, of: int = 0) -> None:
        """Answer so many requests, `of` them from below the model."""
        for _ in range(times):
            self.metrics.request(Route.RECOMMENDATIONS, Source.MODEL, 200, 0.01)
            self.metrics.request(Route.EVENTS, None, 202, 0.01)
        for _ in range(of):
            assert reason is not None
            self.metrics.fallback(reason)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Show the metrics."""
        await reader.readuntil(b"\r\n\r\n")
        self.metrics.enter()
        body = generate_latest(self.registry)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Desk:
    """Two services, and a source with a clock of its own."""

    def __init__(self, ports: list[int], shops: list[Shop]) -> None:
        """Look for the first time."""
        self.shops = shops
        self.policy = policy(*(f"http://127.0.0.1:{port}" for port in ports))
        self.now_s = 0.0
        self.source = BurnSource(lambda: START_S + self.now_s, lambda: self.now_s)

    async def look(self, after_s: float = 10.0) -> list[Finding] | None:
        """Return what is found so much later."""
        self.now_s += after_s
        told = await self.source.findings(self.policy)
        return None if told is None else list(told)


def policy(*services: str) -> Policy:
    """Return what is allowed: 1 %, ten times as much for a minute, three times for ten."""
    return parse_policy(
        f"fallback_burn: {{services: [{', '.join(services)}], least_requests: 50, "
        "fast: {times: 10, long: 1m, short: 20s}, slow: {times: 3, long: 10m, short: 1m}}",
        "x",
    )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Return a desk over two services that were looked at once."""
    shops = [Shop(), Shop()]
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(listening(each.serve)) for each in shops]
        desk = Desk(ports, shops)
        assert await desk.look(0) is None
        yield desk


async def test_quiet_and_burning(desk: Desk) -> None:
    """Both services count; the reason is told, and by how much it is too often."""
    for shop in desk.shops:
        shop.ask(100, Reason.MODEL_ERROR, 1)
    assert await desk.look() == []
    desk.shops[0].ask(100, Reason.MODEL_ERROR, 90)
    (finding,) = await desk.look() or []
    assert (finding.subject, finding.severity, finding.version) == ("model_error", "high", "v1")
    assert finding.value == pytest.approx(92 / 300)
    assert finding.threshold == pytest.approx(0.1)
    assert finding.effect == pytest.approx(finding.value / 0.1 - 1)
    assert finding.end_s % 20 == 0
    assert finding.end_s - finding.start_s == 60


async def test_what_is_over_is_over(desk: Desk) -> None:
    """The long span still says that it mattered, the short one that it goes on no more."""
    desk.shops[0].ask(100, Reason.MODEL_ERROR, 90)
    assert await desk.look()
    desk.shops[0].ask(100)
    await desk.look()
    desk.shops[0].ask(100)
    assert [each.severity for each in await desk.look() or []] == [Severity.MEDIUM]
    looks = []
    for _ in range(7):
        desk.shops[0].ask(100)
        looks.append(await desk.look())
    assert looks[-1] == []


async def test_a_slow_burn_is_of_medium_severity(desk: Desk) -> None:
    """Four of a hundred, for long."""
    looks = []
    for _ in range(8):
        desk.shops[0].ask(100, Reason.DEADLINE, 4)
        looks.append(await desk.look())
    assert [(each.subject, each.severity) for each in looks[-1] or []] == [("deadline", "medium")]


@pytest.mark.parametrize("reason", [Reason.UNKNOWN_USER, Reason.FALLBACK_SHARE])
async def test_strangers_and_what_is_done_on_purpose_burn_nothing(
    desk: Desk, reason: Reason
) -> None:
    """Else raising the share would be a reason to raise it."""
    desk.shops[0].ask(100, reason, 100)
    assert await desk.look() == []


async def test_no_traffic_says_nothing(desk: Desk) -> None:
    """Nor does so little that chance decides."""
    assert await desk.look() is None
    desk.shops[0].ask(49, Reason.MODEL_ERROR, 49)
    assert await desk.look() is None


async def test_another_model_begins_with_a_clean_sheet(desk: Desk) -> None:
    """What the one before did is not its fault; between two models nothing is said."""
    desk.shops[0].ask(100, Reason.MODEL_ERROR, 90)
    assert await desk.look()
    desk.shops[0].metrics.model("v2")
    desk.shops[0].ask(100, Reason.MODEL_ERROR, 90)
    assert await desk.look() is None
    desk.shops[1].metrics.model("v2")
    assert await desk.look() is None
    desk.shops[0].ask(100)
    assert await desk.look() == []
    desk.shops[1].ask(100, Reason.MODEL_ERROR, 100)
    assert [each.version for each in await desk.look() or []] == ["v2"]


async def test_a_service_that_was_started_anew(desk: Desk) -> None:
    """Counts from nothing, and what it has counted since counts."""
    desk.shops[0].ask(500)
    await desk.look()
    desk.shops[0].start("v1")
    desk.shops[0].ask(100, Reason.MODEL_ERROR, 100)
    (finding,) = await desk.look() or []
    assert finding.value == pytest.approx(100 / 600)


async def test_one_that_does_not_answer_hides_no_other(desk: Desk) -> None:
    """Where none answers that is an error; what is no metrics is none either."""
    desk.policy = policy(*desk.policy.burn.services, f"http://127.0.0.1:{free_port()}")
    desk.shops[0].ask(100, Reason.MODEL_ERROR, 90)
    assert await desk.look()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    async def garble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{garbled}")

    async with listening(refuse) as one, listening(garble) as other:
        urls = [f"http://127.0.0.1:{port}" for port in (one, other, free_port())]
        desk.policy = policy(*urls)
        with pytest.raises(ExchangeError, match="status 500"):
            await desk.look()
