"""The one place where concrete classes meet: settings in, application out."""

import asyncio
import gc
import logging
import os
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from aiohttp import web
from prometheus_client import CollectorRegistry

from features.futures import end
from features.identity.forgotten import ForgottenList
from features.online.store import NullStore, OnlineStore
from features.online.valkey_store import ValkeyStore
from features.skew.served import SKEW_REPORT
from models.registry import Registry
from models.rollout import rollout_in_force
from models.rules.parse import read_rules
from models.signature import TrustedKeys
from monitoring.labels import LogKind
from monitoring.metrics import Metrics
from monitoring.realtime import Alert, RealTimeMonitor
from server import keys
from server.access_log import AccessLog
from server.admission import ConcurrencyLimiter
from server.afterwards import Afterwards
from server.background import Background
from server.body import MAX_EVENTS_BODY
from server.breaker import Breaker
from server.cache_writer import CacheWriter
from server.current_model import CurrentModel
from server.event_lag import EventLag
from server.forgetting import Forgetting
from server.handlers.inference import Tensors
from server.handlers.recommendations import Recommend
from server.held_back import HeldBack
from server.histories import Histories
from server.inference import Inference
from server.judge import Judge
from server.ladder import Ladder
from server.last_known import LastKnown
from server.list_log import ListLog
from server.loop_lag import watch_loop_lag
from server.model_moves import ModelMoves
from server.pages import Pages
from server.quarantine_watch import watch_quarantine
from server.reader import Reader
from server.routes import add_routes
from server.served_log import ServedLog
from server.serving import Serving
from server.settings import Settings
from server.skew_report import follow_skew
from server.tracing.noted import NotedInference, NotedReader, NotedRecommend
from server.tracing.wanted import wanted_spans
from server.ui.state import State

log = logging.getLogger(__name__)

MB = 2**20

TARGET = 0.3
"""Of the deadline, what an answer in full should take: before it and after it others wait, too."""


def build_app(settings: Settings, *, store: OnlineStore | None = None) -> web.Application:
    """Return the application; `store` stands in for the one that the settings name.

    Without `redis_url` nobody is known: the launcher names the embedded server's there.
    """
    app = web.Application(client_max_size=MAX_EVENTS_BODY, logger=log)
    collectors = CollectorRegistry()
    metrics = Metrics(collectors)
    app[keys.SETTINGS] = settings
    app[keys.COLLECTORS] = collectors
    app[keys.METRICS] = metrics
    app[keys.ACCESS_LOG] = AccessLog(settings.access_log_share)
    app[keys.MONITOR] = RealTimeMonitor(settings.home / "run" / "window", on_alert=_tell)
    app[keys.REGISTRY] = Registry(settings.home, _trusted(settings))
    app[keys.ROLLOUT] = rollout_in_force(settings.rollout)
    app[keys.RULES] = None if settings.rules is None else read_rules(settings.rules)
    app[keys.MODELS] = CurrentModel(app[keys.REGISTRY], metrics, app[keys.ROLLOUT], app[keys.RULES])
    app[keys.MODEL_MOVES] = ModelMoves(settings, app[keys.REGISTRY], app[keys.ROLLOUT])
    app[keys.JUDGE] = Judge(
        app[keys.MODELS], app[keys.REGISTRY], app[keys.MODEL_MOVES], app[keys.ROLLOUT], metrics
    )
    app[keys.LAST_KNOWN] = LastKnown()
    app[keys.FORGETTING] = Forgetting(
        ForgottenList(settings.home), app[keys.MODELS], app[keys.LAST_KNOWN], metrics
    )
    app[keys.DRAIN] = asyncio.Event()
    app[keys.SPANS] = wanted_spans(os.environ, metrics.spans_dropped)
    app[keys.EVENT_LAG] = EventLag()
    app[keys.AFTERWARDS] = Afterwards()
    app[keys.SERVING] = Serving(app)
    app[keys.TENSORS] = Tensors()
    app[keys.STORE] = store or _store(settings)
    app[keys.UI_STATE] = State(app)
    add_routes(app)
    app.cleanup_ctx.extend(
        (
            _monitor_closed,
            _spans_sent,
            _store_closed,
            _tensors_closed,
            _ladder,
            _model,
            _loop_watched,
            _event_lag_watched,
            _skew_followed,
            _quarantine_watched,
        )
    )
    return app


def _trusted(settings: Settings) -> TrustedKeys | None:
    path = settings.model_public_key
    return None if path is None else TrustedKeys.of_file(path)


def _store(settings: Settings) -> OnlineStore:
    return NullStore() if settings.redis_url is None else ValkeyStore(settings.redis_url)


async def _monitor_closed(app: web.Application) -> AsyncIterator[None]:
    yield
    app[keys.MONITOR].close()


async def _spans_sent(app: web.Application) -> AsyncIterator[None]:
    yield
    if (spans := app[keys.SPANS]) is not None:
        await spans.close()


def _tell(alert: Alert) -> None:
    log.warning(
        "%s: %.1f ms, request %s, %d more since the last alert",
        alert.kind,
        alert.latency_ms,
        alert.request_id,
        alert.suppressed,
    )


async def _store_closed(app: web.Application) -> AsyncIterator[None]:
    yield
    with suppress(Exception):  # the process ends, reachable store or not
        await app[keys.STORE].close()


async def _tensors_closed(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[keys.TENSORS].close()


async def _ladder(app: web.Application) -> AsyncIterator[None]:
    settings, metrics, store = app[keys.SETTINGS], app[keys.METRICS], app[keys.STORE]
    is_traced = app[keys.SPANS] is not None
    a_reader = NotedReader if is_traced else Reader
    an_inference = NotedInference if is_traced else Inference
    a_recommend = NotedRecommend if is_traced else Recommend
    reader = a_reader(store, Breaker(time.monotonic), metrics, settings.feature_timeout_s)
    dropped = partial(metrics.log_dropped, LogKind.FEATURES)
    served = ServedLog(settings.home, settings.feature_log_share, dropped)
    dropped = partial(metrics.log_dropped, LogKind.LISTS)
    lists = ListLog(settings.home, settings.list_log_mb * MB, dropped)
    inference, canary_inference = (
        an_inference(Breaker(time.monotonic, threshold=2), metrics, served.note, reader.reads)
        for _ in range(2)  # alike: what is on trial is compared with what serves
    )
    background = Background(metrics)
    gate = ConcurrencyLimiter(settings.max_inflight, settings.deadline_s * TARGET)
    held_back, histories = HeldBack(settings.home, metrics), Histories()
    app[keys.LADDER] = Ladder(
        models=app[keys.MODELS],
        gate=gate,
        reader=reader,
        inference=inference,
        canary_inference=canary_inference,
        last_known=app[keys.LAST_KNOWN],
        held_back=held_back,
        histories=histories,
        metrics=metrics,
        pages=Pages(settings.cursor_key),
        writer=CacheWriter(store, background, settings.cache_ttl_s),
    )
    rules = app[keys.RULES]
    lengths = {} if rules is None else rules.lengths()
    app[keys.RECOMMEND] = a_recommend(
        app[keys.LADDER], metrics, settings.deadline_s, lengths, lists, app[keys.AFTERWARDS]
    )
    served.start()
    lists.start()
    await held_back.look()
    async with _running(held_back.follow()):
        yield
    await reader.close()
    await inference.close()
    await canary_inference.close()
    await histories.close()
    await background.close()
    await asyncio.to_thread(served.stop)
    await asyncio.to_thread(lists.stop)


async def _model(app: web.Application) -> AsyncIterator[None]:
    models, forgetting = app[keys.MODELS], app[keys.FORGETTING]
    await forgetting.refresh()
    await models.start()
    gc.collect()
    gc.freeze()  # what stands now stands for ever: collections need not walk it
    following = (models.follow(), forgetting.follow(), app[keys.JUDGE].follow())
    async with AsyncExitStack() as stack:
        for forever in following:
            await stack.enter_async_context(_running(forever))
        yield
    app[keys.JUDGE].close()
    models.close()


async def _loop_watched(app: web.Application) -> AsyncIterator[None]:
    async with _running(watch_loop_lag(app[keys.METRICS])):
        yield


async def _event_lag_watched(app: web.Application) -> AsyncIterator[None]:
    store = app[keys.STORE]
    if not isinstance(store, ValkeyStore):
        yield
        return
    async with _running(app[keys.EVENT_LAG].watch(store.client, app[keys.METRICS])):
        yield


async def _skew_followed(app: web.Application) -> AsyncIterator[None]:
    async with _running(follow_skew(app[keys.SETTINGS].home / SKEW_REPORT, app[keys.METRICS])):
        yield


async def _quarantine_watched(app: web.Application) -> AsyncIterator[None]:
    async with _running(watch_quarantine(app[keys.SETTINGS].home, app[keys.METRICS])):
        yield


@asynccontextmanager
async def _running(forever: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(forever)
    try:
        yield
    finally:
        await end(task)
