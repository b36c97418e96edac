"""One worker process under gunicorn: an event loop, the application, and a clean end.

SIGTERM ─ readiness fails ─ go on for `drain_s` ─ stop listening ─ finish what is in flight ─ 0
SIGINT, SIGQUIT ─ stop listening at once ─ finish what is in flight ─ 0

aiohttp's own worker closes its listeners the moment it is told to stop, while balancers still
send requests; this one lets them notice first.
"""

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING

import uvloop
from aiohttp import web
from gunicorn.workers.base import Worker

from server import keys
from server.log import Log

if TYPE_CHECKING:
    from server.launcher import Launcher

log = logging.getLogger(__name__)

KEEPALIVE_S = 75.0
"""Longer than the 60 s of usual balancers, so that they close idle connections, not we."""

HEARTBEAT_S = 1.0
IN_FLIGHT_S = 5.0
"""How long requests under way may take to end; each has a deadline of its own."""


class ServiceWorker(Worker):  # type: ignore[misc] # gunicorn has no types
    """Serves until it is told to stop or its master is gone."""

    app: "Launcher"

    def init_signals(self) -> None:
        """Leave signals to the event loop."""
        for each in self.SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def run(self) -> None:
        """Serve; logging starts here, after the fork, since it has a thread."""
        logs = Log(self.app.settings.log_level)
        logs.start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(logs))
        finally:
            logs.stop()

    async def _serve(self, logs: Log) -> None:
        app: web.Application = self.wsgi(self.app.settings)
        logs.on_drop(app[keys.METRICS].log_dropped)
        runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=IN_FLIGHT_S
        )
        await runner.setup()
        try:
            for listener in self.sockets:
                await web.SockSite(runner, listener.sock, backlog=self.cfg.backlog).start()
            if self.age == 1:
                self.app.announce(app)
            await self._until_stopped(app)
        finally:
            await runner.cleanup()

    async def _until_stopped(self, app: web.Application) -> None:
        loop, stop, now = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        def stop_now() -> None:
            stop.set()
            now.set()

        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, stop_now)
        loop.add_signal_handler(signal.SIGQUIT, stop_now)
        await self._beat_until(stop)
        app[keys.DRAIN].set()
        if self.ppid == os.getppid():
            await self._beat_until(now, self.app.settings.drain_s)

    async def _beat_until(self, event: asyncio.Event, timeout_s: float | None = None) -> None:
        """Tell the master that the loop turns, until `event`, the time or the master is over."""
        clock = asyncio.get_running_loop().time
        until = None if timeout_s is None else clock() + timeout_s
        while self.ppid == os.getppid() and not event.is_set():
            self.notify()
            left = HEARTBEAT_S if until is None else min(until - clock(), HEARTBEAT_S)
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await event.wait()
            except TimeoutError:
                continue
