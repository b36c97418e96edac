"""`GET /healthz`, `/readyz`, `/metrics` and `/v1/realtime`: how the service is."""

import asyncio

import orjson
from aiohttp import web

from monitoring.exposition import render
from monitoring.snapshot import MAX_WINDOW_S
from server import keys
from server.admin import admin
from server.response import Response
from server.url import parse_count


async def alive(_: web.Request) -> Response:
    """Say that the event loop turns; nothing else, so that no outage restarts the process."""
    return Response(b'{"status":"ok"}')


async def ready(request: web.Request) -> Response:
    """Say whether to send requests here: a model is loaded and the process is not stopping.

    The online store is no part of it: without it there still is an answer.
    """
    draining = request.app[keys.DRAIN].is_set()
    model = request.app[keys.MODELS].model
    is_ready = model is not None and not draining
    told = {"ready": is_ready, "draining": draining, "model_version": model and model.version}
    return Response(orjson.dumps(told), 200 if is_ready else 503)


async def metrics(request: web.Request) -> Response:
    """Return what Prometheus scrapes, of all workers."""
    request.app[keys.METRICS].enter()
    body, content_type = await asyncio.to_thread(render, request.app[keys.COLLECTORS])
    return Response(body, content_type=content_type)


@admin
async def window(request: web.Request) -> Response:
    """Return the figures of the last `seconds`, 1 to 60, of all workers."""
    seconds = parse_count(request.query, "seconds", MAX_WINDOW_S, MAX_WINDOW_S)
    snapshot = await asyncio.to_thread(request.app[keys.MONITOR].snapshot, seconds)
    return Response(orjson.dumps(snapshot.as_dict()))
