"""A collector of traces: what is sent to it by OTLP over HTTP, decoded."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

PATIENCE = 200
PAUSE_S = 0.05


class Told(NamedTuple):
    """A span as it came; ids are hexadecimal, `parent` is empty where there is none."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    tracestate: str
    is_server: bool
    has_failed: bool
    begun_ns: int
    ended_ns: int
    attributes: Mapping[str, Any]
    service: str


class Collector:
    """Takes what is sent to `/v1/traces`."""

    def __init__(self) -> None:
        """Have nothing yet."""
        self.spans: list[Told] = []
        self.app = web.Application()
        self.app.router.add_post("/v1/traces", self._take)

    async def requests(self, count: int) -> list[Told]:
        """Return the spans of requests once there are so many; those within them came before."""
        for _ in range(PATIENCE):
            told = [each for each in self.spans if each.is_server]
            if len(told) >= count:
                return told
            await asyncio.sleep(PAUSE_S)
        raise AssertionError(f"expected {count} requests, got {[each.name for each in self.spans]}")

    def children(self, span: Told) -> dict[str, Told]:
        """Return the spans within one, by name; fail where two have the same."""
        within = [each for each in self.spans if each.parent == span.span_id]
        named = {each.name: each for each in within}
        assert len(named) == len(within), [each.name for each in within]
        return named

    async def _take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            service = _values(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_told(span, service) for span in scope.spans]
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=body, content_type="application/x-protobuf")


def _told(span: Span, service: str) -> Told:
    return Told(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.kind == Span.SPAN_KIND_SERVER,
        span.status.code == Status.STATUS_CODE_ERROR,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _values(span.attributes),
        service,
    )


def _values(attributes: Any) -> dict[str, Any]:
    kinds = ((each.key, each.value, each.value.WhichOneof("value")) for each in attributes)
    return {key: getattr(value, kind) for key, value, kind in kinds}
