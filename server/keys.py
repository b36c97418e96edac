"""Every key under which something is kept in the application or in a request.

Types are named, not imported: the process manager needs `DRAIN` and nothing that it names.
"""

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from features.online.store import OnlineStore
    from models.registry import Registry
    from models.rollout import Rollout
    from models.rules.declared import Rules
    from monitoring.metrics import Metrics
    from monitoring.realtime import RealTimeMonitor
    from server.access_log import AccessLog
    from server.afterwards import Afterwards
    from server.current_model import CurrentModel
    from server.event_lag import EventLag
    from server.forgetting import Forgetting
    from server.handlers.inference import Tensors
    from server.handlers.recommendations import Recommend
    from server.judge import Judge
    from server.ladder import Ladder
    from server.last_known import LastKnown
    from server.model_moves import ModelMoves
    from server.serving import Serving
    from server.settings import Settings
    from server.tracing.spans import Spans
    from server.ui.state import State

DRAIN = web.AppKey("drain", asyncio.Event)
"""Set when the process has begun to stop: readiness fails, requests are still answered."""

ACCESS_LOG: web.AppKey["AccessLog"] = web.AppKey("access_log")
AFTERWARDS: web.AppKey["Afterwards"] = web.AppKey("afterwards")
COLLECTORS: web.AppKey["CollectorRegistry"] = web.AppKey("collectors")
EVENT_LAG: web.AppKey["EventLag"] = web.AppKey("event_lag")
FORGETTING: web.AppKey["Forgetting"] = web.AppKey("forgetting")
JUDGE: web.AppKey["Judge"] = web.AppKey("judge")
LADDER: web.AppKey["Ladder"] = web.AppKey("ladder")
LAST_KNOWN: web.AppKey["LastKnown"] = web.AppKey("last_known")
METRICS: web.AppKey["Metrics"] = web.AppKey("metrics")
MODELS: web.AppKey["CurrentModel"] = web.AppKey("models")
MODEL_MOVES: web.AppKey["ModelMoves"] = web.AppKey("model_moves")
MONITOR: web.AppKey["RealTimeMonitor"] = web.AppKey("monitor")
RECOMMEND: web.AppKey["Recommend"] = web.AppKey("recommend")
REGISTRY: web.AppKey["Registry"] = web.AppKey("registry")
ROLLOUT: web.AppKey["Rollout"] = web.AppKey("rollout")
RULES: web.AppKey["Rules | None"] = web.AppKey("rules")
SERVING: web.AppKey["Serving"] = web.AppKey("serving")
SETTINGS: web.AppKey["Settings"] = web.AppKey("settings")
SPANS: web.AppKey["Spans | None"] = web.AppKey("spans")
STORE: web.AppKey["OnlineStore"] = web.AppKey("store")
TENSORS: web.AppKey["Tensors"] = web.AppKey("tensors")
UI_STATE: web.AppKey["State"] = web.AppKey("ui_state")

STARTED = web.RequestKey("started", float)
"""When the request came in, by `time.monotonic`."""
