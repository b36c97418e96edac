"""Starting and supervising the service: a gunicorn master, its workers, and what runs beside.

bind the port ─ embedded Valkey ─ shared metrics ─ master ─┬─ worker, worker, …
                                                           └─ consumers of the event stream

gunicorn keeps workers alive, passes signals on and replaces a worker that hangs or dies. It
runs even one worker, so that a crash costs a second and not the service.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from monitoring.exposition import mark_worker_dead, prepare_directory
from server.settings import Settings
from server.sidecars import Sidecars

if TYPE_CHECKING:
    from aiohttp import web

    AppFactory = Callable[[Settings], web.Application]

BACKLOG = 2_048
HANG_S = 30
"""A worker whose loop has not turned for so long is replaced."""


class PortError(Exception):
    """The address cannot be listened on."""


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens where the settings say; raise `PortError` if it cannot."""
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        hint = "set CUVEE_HOST and CUVEE_PORT to another"
        raise PortError(f"cannot listen on {where}: {reason}; {hint}") from error
    return listener


class Launcher(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """The service as gunicorn sees it."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        """Take the `listener` over. Without `redis_url` the launcher brings its own Valkey."""
        self._sidecars = Sidecars(settings.home) if settings.redis_url is None else None
        if self._sidecars is not None:
            settings = replace(settings, redis_url=self._sidecars.url)
        self.settings = settings
        self._listener = listener
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn what we want of it."""
        settings = self.settings
        wanted: dict[str, Any] = {
            "bind": f"fd://{self._listener.detach()}",
            "workers": settings.workers,
            "worker_class": "server.worker.ServiceWorker",
            "timeout": HANG_S,
            "graceful_timeout": int(settings.drain_s) + 10,
            "backlog": BACKLOG,
            "logger_class": MasterLog,
            "child_exit": lambda _, worker: mark_worker_dead(worker.pid),
            "control_socket_disable": True,
        }
        for name, value in wanted.items():
            if name in self.cfg.settings:  # older versions have no control socket to disable
                self.cfg.set(name, value)

    def load(self) -> "AppFactory":
        """Return the application factory; called in each worker, which imports it only then."""
        from server.app import build_app  # noqa: PLC0415

        return build_app

    def run(self) -> NoReturn:
        """Serve until told to stop, then exit; raise `FeaturesError` if the store won't start."""
        if self.settings.workers > 1:
            prepare_directory(self.settings.home / "run" / "metrics")
        master = os.getpid()
        try:
            if self._sidecars is not None:
                self._sidecars.start()
            Master(self, self._sidecars).run()
        finally:
            if self._sidecars is not None and os.getpid() == master:  # workers pass here too
                self._sidecars.stop()
        sys.exit(0)

    def announce(self, app: "web.Application") -> None:
        """Print where the service is and the one request to try, once it is ready."""
        from server.announcement import announcement  # noqa: PLC0415 - only in a worker

        print(announcement(self.settings, app), flush=True)  # noqa: T201 - for who started us


class Master(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's master, which also tends what runs beside the workers."""

    def __init__(self, app: Launcher, sidecars: Sidecars | None) -> None:
        """Tend `sidecars` if there are any."""
        self._sidecars = sidecars
        super().__init__(app)

    def manage_workers(self) -> None:
        """Keep workers and sidecars alive; called about once a second."""
        super().manage_workers()
        if self._sidecars is not None:
            self._sidecars.tend()


class MasterLog(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's log through our own: warnings and worse."""

    def setup(self, cfg: object) -> None:
        """Leave handlers and levels to the root logger."""
        self.cfg = cfg
        self.error_log = logging.getLogger("gunicorn.error")
        self.error_log.setLevel(logging.WARNING)
        self.access_log = logging.getLogger("gunicorn.access")
