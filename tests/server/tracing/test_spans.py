"""Spans of real requests at a real receiver, by both doors; and answers as before without one."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from server import keys
from server.handlers.recommendations import Recommend
from tests.support.collector import Collector, Told
from tests.support.service import Client, Start, ask, event, send

LIST = "POST /v1/recommendations"
STAGES = {"read", "features", "rank", "encode"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
async def collector(aiohttp_server: Any, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """Return a collector that the variables name."""
    told = Collector()
    server = await aiohttp_server(told.app)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    return told


@pytest.fixture
async def traced(collector: Collector, start: Start) -> Client:
    """Return a client of a traced service that logs every request and knows `u1` to `u8`."""
    assert collector.spans == []
    service = await start(CUVEE_ACCESS_LOG_SHARE="1")
    await send(service, *(event(f"u{number}", "wine-0001") for number in range(1, 9)))
    await collector.requests(1)
    collector.spans.clear()
    return service


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return what the access log says of lists."""
    records = (each for each in caplog.records if each.name == "server.access_log")
    fields: list[dict[str, Any]] = [each.__dict__["fields"] for each in records]
    return [each for each in fields if each["route"] == "recommendations"]


def request(*headers: str) -> bytes:
    """Return a request for a list with these headers."""
    body = '{"user_id":"u1"}'
    lines = (f"{LIST} HTTP/1.1", "Host: shop", f"Content-Length: {len(body)}", *headers, "", body)
    return "\r\n".join(lines).encode()


async def raw(service: Client, *headers: str) -> None:
    """Ask for a list with these headers on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(request(*headers))
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_a_list_and_its_stages(collector: Collector, traced: Client) -> None:
    """A span of the request, one within it for each stage, and what was answered."""
    answer = await ask(traced, "u1")
    assert answer["source"] == "model"

    (span,) = await collector.requests(1)
    assert (span.name, span.parent, span.service, span.has_failed) == (LIST, "", "cuvee", False)
    attributes = dict(span.attributes)
    assert len(attributes.pop("cuvee.request_id")) > 10
    assert attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v1/recommendations",
        "url.scheme": "http",
        "cuvee.source": "model",
        "cuvee.page": "other",
        "cuvee.model_version": answer["model_version"],
    }
    within = collector.children(span)
    assert set(within) == STAGES
    for each in within.values():
        assert each.trace_id == span.trace_id
        assert span.begun_ns <= each.begun_ns <= each.ended_ns <= span.ended_ns
    ordered = sorted(within.values(), key=lambda each: each.begun_ns)
    assert [each.name for each in ordered] == ["read", "features", "rank", "encode"]


async def test_stages_that_there_were(collector: Collector, traced: Client) -> None:
    """A cached list was not ranked; a stranger's was read, and its reason is told."""
    await ask(traced, "u1")
    while (await ask(traced, "u1"))["source"] != "cache":
        await asyncio.sleep(0.02)
    await ask(traced, "nobody")

    def last(source: str) -> Told | None:
        found = [each for each in collector.spans if each.attributes.get("cuvee.source") == source]
        return found[-1] if found else None

    while (cached := last("cache")) is None:
        await asyncio.sleep(0.02)
    while (popular := last("segment") or last("global")) is None:
        await asyncio.sleep(0.02)
    for span in (cached, popular):
        assert set(collector.children(span)) == {"read", "encode"}
    assert popular.attributes["cuvee.reason"] == "unknown_user"


async def test_each_has_its_own_stages(collector: Collector, traced: Client) -> None:
    """Though the run was shared by all."""
    await asyncio.gather(*(ask(traced, f"u{number}") for number in range(1, 9)))
    lists = await collector.requests(8)
    assert len({each.trace_id for each in lists}) == 8
    for span in lists:
        assert set(collector.children(span)) == STAGES


UNUSUAL = "Content-Type: application/json ; a=b"


@pytest.mark.parametrize("more", [(), (UNUSUAL,)], ids=["lane", "aiohttp"])
async def test_a_trace_goes_on(
    collector: Collector, traced: Client, caplog: pytest.LogCaptureFixture, more: tuple[str, ...]
) -> None:
    """By either door: its id, its parent, its state in the order it came, and the log."""
    caplog.set_level(logging.INFO, "server.access_log")
    headers = (f"Traceparent: 00-{TRACE}-{PARENT}-01", "tracestate: a=1", "TraceState: b=2")
    await raw(traced, *headers, *more)

    (span,) = await collector.requests(1)
    assert (span.trace_id, span.parent, span.tracestate) == (TRACE, PARENT, "a=1,b=2")
    assert set(collector.children(span)) == STAGES
    assert [each["trace_id"] for each in logged(caplog)] == [TRACE]


async def test_a_request_of_a_trace_stays_in_the_lane(traced: Client) -> None:
    """Though each has another head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", traced.port)
    for number in range(1, 4):
        writer.write(request(f"traceparent: 00-{TRACE}-{number:016x}-01"))
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.split("\r\n") if line.startswith("Content-Length"))
        await reader.readexactly(int(length.split(": ")[1]))
        assert len(traced.server.door.lanes) == 1  # type: ignore[attr-defined]
    writer.close()


async def test_what_the_caller_leaves_out(
    collector: Collector, traced: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Is no span, but its id is in the log; what is no traceparent begins a trace of its own."""
    caplog.set_level(logging.INFO, "server.access_log")
    await raw(traced, f"traceparent: 00-{TRACE}-{PARENT}-00")
    await raw(traced, "traceparent: 00-nonsense-01")
    await raw(traced, *[f"traceparent: 00-{TRACE}-{PARENT}-01"] * 2)

    lists = await collector.requests(2)
    assert len(lists) == 2
    assert TRACE not in {each.trace_id for each in lists}
    first, *others = [each["trace_id"] for each in logged(caplog)]
    assert first == TRACE
    assert others == [each.trace_id for each in lists]


async def test_other_routes(collector: Collector, traced: Client) -> None:
    """Named without ids; what is no route by its method; who watches the service is left out."""
    for path in ("/healthz", "/readyz", "/metrics", "/v1/realtime"):
        await traced.get(path)
    await traced.get("/v1/items/wine-0001/similar")
    await traced.get("/nowhere/u1")
    await traced.post("/v1/recommendations", json={"user_id": 7})

    spans = await collector.requests(3)
    assert [(each.name, each.attributes["http.response.status_code"]) for each in spans] == [
        ("GET /v1/items/{item_id}/similar", 200),
        ("GET", 404),
        (LIST, 422),
    ]
    assert "http.route" not in spans[1].attributes
    assert not any(each.has_failed for each in spans)


async def test_what_fails_inside(
    collector: Collector, traced: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is an error, as HTTP's semantic conventions have it."""
    assert traced.app is not None
    monkeypatch.setattr(traced.app[keys.RECOMMEND], "_deadline_s", None)  # a defect
    answer = await traced.post("/v1/recommendations", json={"user_id": "u1"})
    assert answer.status == 500
    (span,) = await collector.requests(1)
    assert span.has_failed
    assert span.attributes["error.type"] == "500"


async def test_a_span_that_cannot_be_made(
    traced: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Takes no answer with it."""
    assert traced.app is not None
    monkeypatch.setattr(traced.app[keys.SPANS], "_tracer", None)
    assert (await ask(traced, "u1"))["items"]
    assert "an answer was not traced" in caplog.text


async def test_a_sampler_is_heeded(
    collector: Collector, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, but of what the caller wants traced."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "wines")
    service = await start()
    await ask(service, "nobody")
    await raw(service, f"traceparent: 00-{TRACE}-{PARENT}-01")
    spans = await collector.requests(1)
    assert {each.trace_id for each in collector.spans} == {TRACE}
    assert {each.service for each in spans} == {"wines"}


@pytest.fixture(params=["nobody listens", "it never answers"])
def dead_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Return the port of a collector that takes nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if request.param == "nobody listens":
            listener.close()
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                yield probe.getsockname()[1]
        else:
            yield listener.getsockname()[1]


async def test_a_dead_collector(
    start: Start, dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delays and fails nothing; spans are dropped and counted, and the service ends."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{dead_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    service = await start()
    for number in range(100):
        assert (await ask(service, f"nobody-{number}"))["items"]
    while b"cuvee_spans_dropped_total 0.0" in await (await service.get("/metrics")).read():
        await ask(service, "nobody")
        await asyncio.sleep(0.05)
    await service.close()


async def test_off(start: Start) -> None:
    """Nothing notes anything, and no span is made."""
    service = await start()
    assert service.app is not None
    assert service.app[keys.SPANS] is None
    assert type(service.app[keys.RECOMMEND]) is Recommend
