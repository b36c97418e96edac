"""Answers as OpenTelemetry's spans, made once they have left and sent by a thread of its own.

    answer ─ leaves ─ span of the request, children for its stages ─ bounded queue ─ OTLP over HTTP

Where the collector is away or slow the queue is full, and no spans are made. Sampling, sizes and
where to are the SDK's variables: docs/tracing.md.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from threading import Thread
from time import monotonic, time_ns
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from monitoring.labels import Route
from server.response import Response
from server.serving import Asked

log = logging.getLogger(__name__)

UNTRACED: Final = frozenset(
    {Route.HEALTH, Route.READY, Route.METRICS, Route.WINDOW, Route.DOCS, Route.UI}
)
"""Routes that are asked every few seconds by who watches the service."""

LAST_S: Final = 2.0
"""How long the end of the process waits for spans that are not sent yet."""

_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_FAILED: Final = 500
_QUEUE: Final = "OTEL_BSP_MAX_QUEUE_SIZE"
_QUEUE_SIZE: Final = 2_048


class Spans:
    """Makes spans of answers and sends them, as far as the SDK's sampler wants them."""

    def __init__(self, dropped: Callable[[int], None]) -> None:
        """Start the thread that sends; `dropped` hears of spans that were not, on any thread."""
        self._dropped = dropped
        self._room = int(os.environ.get(_QUEUE) or _QUEUE_SIZE)
        self._made = 0
        self._sender = _Sender(OTLPSpanExporter(), dropped)
        # At the end of the process `close` waits for a while; the SDK would for half a minute.
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(self._sender, max_queue_size=self._room)
        )
        self._tracer = self._provider.get_tracer("cuvee")
        self._propagator = TraceContextTextMapPropagator()

    def tell(self, asked: Asked, response: Response, seconds: float) -> str | None:
        """Make spans of what was answered after `seconds`; return the id of the trace, if any."""
        if asked.route in UNTRACED:
            return None
        try:
            return self._told(asked, response, seconds)
        except Exception:  # nothing that was answered fails by it
            log.exception("an answer was not traced")
            return None

    async def close(self) -> None:
        """Send what is left, and wait a little for it."""
        sending = Thread(target=self._finish, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, LAST_S)

    def _finish(self) -> None:
        self._provider.force_flush()  # else the SDK looks every three seconds whether it is done
        self._provider.shutdown()

    def _told(self, asked: Asked, response: Response, seconds: float) -> str | None:
        context = self._propagator.extract(asked.parent or {}, Context())
        epoch_ns = time_ns() - _ns(monotonic())  # a clock that steps moves no stage of a request
        span = self._tracer.start_span(
            _name(asked),
            context,
            SpanKind.SERVER,
            _attributes(asked, response),
            start_time=epoch_ns + _ns(asked.started),
        )
        trace_id = format_trace_id(span.get_span_context().trace_id)
        if not _is_sampled(span) or self._is_full(1 + len(response.notes)):
            has_parent = get_current_span(context).get_span_context().is_valid
            return trace_id if has_parent else None
        inside = set_span_in_context(span, Context())
        for note in response.notes:
            begun_ns, ended_ns = epoch_ns + _ns(note.begun), epoch_ns + _ns(note.ended)
            stage = self._tracer.start_span(note.stage.value, inside, start_time=begun_ns)
            self._end(stage, ended_ns)
        if response.status >= _FAILED:
            span.set_status(Status(StatusCode.ERROR))
        self._end(span, epoch_ns + _ns(asked.started + seconds))
        return trace_id

    def _is_full(self, spans: int) -> bool:
        """Tell whether there is no room for so many spans: then they count as dropped.

        The SDK would drop the oldest ones, some of this trace and some of that.
        """
        is_full = self._made - self._sender.begun + spans > self._room
        if is_full:
            self._dropped(spans)
        return is_full

    def _end(self, span: Span, at_ns: int) -> None:
        self._made += _is_sampled(span)
        span.end(at_ns)


class _Sender(SpanExporter):
    """Exports spans, and tells how many the collector did not take."""

    def __init__(self, exporter: SpanExporter, dropped: Callable[[int], None]) -> None:
        self._exporter = exporter
        self._dropped = dropped
        self.begun = 0
        """Spans that have left the queue."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.begun += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._dropped(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _is_sampled(span: Span) -> bool:
    return span.get_span_context().trace_flags.sampled


def _resource() -> Resource:
    """Return who we are: what the variables say, `cuvee` where they name no service."""
    told = Resource.create({"process.pid": os.getpid()})
    if str(told.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return told.merge(Resource({SERVICE_NAME: "cuvee"}))
    return told


def _name(asked: Asked) -> str:
    """Return a name of which there are few: no id of a shopper or item is part of it."""
    return f"{_method(asked)} {asked.pattern}".rstrip()


def _method(asked: Asked) -> str:
    method = asked.what.partition(" ")[0]
    return method if method in _METHODS else "HTTP"


def _attributes(asked: Asked, response: Response) -> dict[str, str | int]:
    """Return what is told of a request by the semantic conventions of HTTP, and of its answer."""
    told: dict[str, str | int] = {
        "http.request.method": _method(asked),
        "http.response.status_code": response.status,
        "url.scheme": "http",
        "cuvee.request_id": asked.request_id,
    }
    if asked.pattern:
        told["http.route"] = asked.pattern
    if response.status >= _FAILED:
        told["error.type"] = str(response.status)
    answer = response.answer
    if answer is not None:
        told["cuvee.source"] = answer.source.value
        told["cuvee.page"] = answer.page.value
        told["cuvee.model_version"] = answer.model_version
        if answer.reason is not None:
            told["cuvee.reason"] = answer.reason.value
    return told


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
