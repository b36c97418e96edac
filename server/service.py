"""What a worker does: an event loop, the application, and a clean end.

SIGTERM ─ readiness fails ─ go on for `drain_s` ─ stop listening ─ finish what is in flight ─ 0
SIGINT, SIGQUIT ─ stop listening at once ─ finish what is in flight ─ 0

aiohttp's own worker closes its listeners the moment it is told to stop, while balancers still
send requests; this one lets them notice first.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Final

import uvloop
from aiohttp import web

from features.errors import InputError
from monitoring.labels import LogKind
from server import keys
from server.door import Door
from server.log import Log
from server.master import UNUSABLE
from server.worker import ServiceWorker

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 75.0
"""Longer than the 60 s of usual balancers, so that they close idle connections, not we."""

HEARTBEAT_S: Final = 1.0
IN_FLIGHT_S: Final = 2.5
"""How long requests under way may take to end; each has a deadline of its own."""

LAST_S: Final = 12
"""Longer than the master waits after the drain: what hangs then has no master to kill it."""

PAUSE_S: Final = 1.0
"""Before a worker that could not start is replaced by one that may not either."""


class Service:
    """Serves until its worker is told to stop or the master is gone."""

    def __init__(self, worker: ServiceWorker) -> None:
        """Serve as `worker`."""
        self._worker = worker
        self._settings = worker.app.settings

    def run(self) -> int:
        """Serve and return the exit code; logging starts here, since it has a thread."""
        faulthandler.enable()  # the master aborts a loop that hangs: show where it did
        logs = Log(self._settings.log_level)
        logs.start()
        code = 1
        try:
            code = self._served(logs)
        finally:
            if not logs.stop():
                os._exit(code)  # a stuck stderr would stop the interpreter's end, too
        return code

    def _served(self, logs: Log) -> int:
        """Serve to the end and return the exit code."""
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(logs))
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201 - as any mistake in a setting
            return UNUSABLE
        except Exception:
            log.exception("the worker failed")
            time.sleep(PAUSE_S)
            return 1
        return 0

    async def _serve(self, logs: Log) -> None:
        stop, now = asyncio.Event(), asyncio.Event()
        beat = asyncio.ensure_future(self._beat(stop, now))
        app: web.Application = self._worker.wsgi(self._settings)
        logs.on_drop(partial(app[keys.METRICS].log_dropped, LogKind.SERVICE))
        runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=IN_FLIGHT_S
        )
        try:
            await runner.setup()
            _listen_to_signals(stop, now)
            async with Door(runner, KEEPALIVE_S, IN_FLIGHT_S) as door:
                for listener in self._worker.sockets:
                    door.open(listener.sock)
                if self._worker.age == 1:
                    await self._worker.app.announce(app)
                await stop.wait()
                await self._drain(app, now)
        finally:
            await runner.cleanup()
            beat.cancel()

    async def _drain(self, app: web.Application, now: asyncio.Event) -> None:
        """Let balancers notice that we are going, unless it is to be at once."""
        app[keys.DRAIN].set()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await now.wait()
        signal.alarm(LAST_S)

    async def _beat(self, stop: asyncio.Event, now: asyncio.Event) -> None:
        """Tell the master that the loop turns; end at once when there is no master."""
        while self._worker.ppid == os.getppid():
            self._worker.notify()
            await asyncio.sleep(HEARTBEAT_S)
        now.set()
        stop.set()


def _listen_to_signals(stop: asyncio.Event, now: asyncio.Event) -> None:
    def stop_now() -> None:
        now.set()
        stop.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop_now)
    loop.add_signal_handler(signal.SIGQUIT, stop_now)
