"""What the page shows of the service, as JSON: for anybody what `/metrics` tells too, else admins.

    seen on the loop ─ the minute, and files that changed, in a thread ─ JSON, kept for a second

However many look, a worker makes it once a second and from nothing that a request waits for.
"""

import asyncio
import time
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from features.online.store import NullStore
from server import keys
from server.handlers.docs import service_version
from server.ui.drift_part import DRIFT_FINDINGS, drift_part
from server.ui.kept import Kept
from server.ui.model_part import model_part
from server.ui.performance_part import PERFORMANCE_FINDINGS, performance_part
from server.ui.shared_answer import SharedAnswer

MOST_SHOPPERS = 8

OPEN = "open"
CLOSED = "closed"
OFF = "off"


class State:
    """The state of one worker's application, and of all workers what they share."""

    def __init__(self, app: web.Application) -> None:
        """Read nothing before somebody looks."""
        self._app = app
        self._plain = SharedAnswer(self._make_plain)
        self._whole = SharedAnswer(self._make_whole)
        home, registry = app[keys.SETTINGS].home, app[keys.REGISTRY]
        models = registry.directory
        drift, performance = home / DRIFT_FINDINGS, home / PERFORMANCE_FINDINGS
        self._parts = {
            "models": Kept(
                (models, models / "history", models / "aliases"), partial(model_part, registry)
            ),
            "drift": Kept((drift,), partial(drift_part, drift)),
            "performance": Kept((performance,), partial(performance_part, performance)),
        }

    async def told(self, *, to_admin: bool) -> bytes:
        """Return the JSON, at most a second old."""
        return await (self._whole if to_admin else self._plain).told()

    async def _make_plain(self) -> bytes:
        access = OFF if self._app[keys.SETTINGS].admin_token is None else CLOSED
        return await asyncio.to_thread(self._written, {"admin": access, **self._seen()}, {})

    async def _make_whole(self) -> bytes:
        seen = {"admin": OPEN, **self._seen(), "shoppers": self._shoppers()}
        return await asyncio.to_thread(self._written, seen, self._parts)

    def _written(self, seen: dict[str, Any], parts: dict[str, Kept]) -> bytes:
        snapshot, seconds = self._app[keys.MONITOR].minute()
        alerts = {each.kind.value: each.count for each in snapshot.alerts}
        window = {**snapshot.as_dict(), "alerts": alerts, "seconds": asdict(seconds)}
        told = {name: part.json() for name, part in parts.items()}
        return orjson.dumps({"at": time.time(), **seen, "window": window, **told})

    def _seen(self) -> dict[str, Any]:
        """Return what the loop's own objects say."""
        models = self._app[keys.MODELS]
        model = models.model
        service = {
            "version": service_version(),
            "model_version": model and model.version,
            "why_none": models.why_none if model is None else None,
            "draining": self._app[keys.DRAIN].is_set(),
        }
        return {"service": service, "events": self._events()}

    def _events(self) -> dict[str, Any]:
        if isinstance(self._app[keys.STORE], NullStore):
            return {"store": "none"}
        backlog = self._app[keys.EVENT_LAG].backlog
        return {"store": "away"} if backlog is None else {"store": "there", **asdict(backlog)}

    def _shoppers(self) -> list[str]:
        """Return ids to try: the bundle's example, and whom this worker ranked for lately."""
        model = self._app[keys.MODELS].model
        example = [] if model is None or model.example_user is None else [model.example_user]
        latest = self._app[keys.LAST_KNOWN].latest(MOST_SHOPPERS)
        return list(dict.fromkeys([*example, *latest]))[:MOST_SHOPPERS]
