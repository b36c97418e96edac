"""Starting and supervising the service: a gunicorn master, its workers, and what runs beside.

bind the port ─ embedded Valkey ─ shared metrics ─ master ─┬─ worker, worker, …
                                                           └─ consumers of the event stream

gunicorn keeps workers alive, passes signals on and replaces a worker that hangs or dies. It
runs even one worker, so that a crash costs a second and not the service.
"""

import math
import os
import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from gunicorn.app.base import BaseApplication

from features.errors import InputError
from monitoring.exposition import DIRECTORY_VARIABLE, mark_worker_dead, prepare_directory
from server.master import Master, MasterLog
from server.settings import Settings
from server.sidecars import Sidecars

if TYPE_CHECKING:
    from aiohttp import web

    AppFactory = Callable[[Settings], web.Application]

BACKLOG: Final = 2_048
MOST_FILES: Final = 65_536
HANG_S: Final = 30
"""A worker whose loop has not turned for so long is replaced."""

GRACE_S: Final = 10
"""How long the end of a worker may take after `CUVEE_DRAIN_S`; then it is killed."""

MEMORY = Path("/dev/shm")  # noqa: S108 - not for files: gunicorn's beat is a nameless one


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
    except (OSError, UnicodeError) as error:
        reason = _reason(error)
        hint = "set CUVEE_HOST and CUVEE_PORT to another"
        raise PortError(f"cannot listen on {where}: {reason}; {hint}") from error
    return listener


def prepare_home(settings: Settings) -> None:
    """Make the home where there is none; raise `InputError` where nothing can be kept in it."""
    run = settings.home / "run"
    try:
        run.mkdir(parents=True, exist_ok=True)
        (run / ".writable").touch()
    except OSError as error:
        raise InputError(
            f"CUVEE_HOME: expected a directory to write to, got {str(settings.home)!r} "
            f"({_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number and number > 0 else str(error)


class Launcher(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """The service as gunicorn sees it."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        *,
        factory: "AppFactory | None" = None,
        hang_s: int = HANG_S,
    ) -> None:
        """Take the `listener` over. Without `redis_url` the launcher brings its own Valkey."""
        has_valkey, follows = settings.redis_url is None, settings.registry is not None
        self._sidecars = (
            Sidecars(settings.home, has_valkey=has_valkey, follows=follows)
            if has_valkey or follows
            else None
        )
        if self._sidecars is not None and has_valkey:
            settings = replace(settings, redis_url=self._sidecars.url)
        self.settings = settings
        self._listener = listener.detach()
        self._factory = factory
        self._hang_s = hang_s
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn what we want of it."""
        settings = self.settings
        wanted: dict[str, Any] = {
            "bind": f"fd://{self._listener}",
            "workers": settings.workers,
            "worker_class": "server.worker.ServiceWorker",
            "timeout": self._hang_s,
            "graceful_timeout": math.ceil(settings.drain_s) + GRACE_S,
            "backlog": BACKLOG,
            "logger_class": MasterLog,
            "child_exit": lambda _, worker: mark_worker_dead(worker.pid),
            "control_socket_disable": True,
        }
        if os.access(MEMORY, os.W_OK):
            wanted["worker_tmp_dir"] = str(MEMORY)  # a stuck disk must not stop the beat
        for name, value in wanted.items():
            if name in self.cfg.settings:  # older versions have no control socket to disable
                self.cfg.set(name, value)

    def load(self) -> "AppFactory":
        """Return the application factory; called in each worker, which imports it only then."""
        if self._factory is not None:
            return self._factory
        from server.app import build_app  # noqa: PLC0415

        return build_app

    def run(self) -> NoReturn:
        """Serve until told to stop, then exit; raise `FeaturesError` if the store won't start."""
        prepare_home(self.settings)
        _allow_many_connections()
        os.environ.pop(DIRECTORY_VARIABLE, None)
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

    async def announce(self, app: "web.Application") -> None:
        """Print where the service is and the one request to try, once it is ready."""
        from server.announcement import announcement  # noqa: PLC0415 - only in a worker

        print(await announcement(self.settings, app), flush=True)  # noqa: T201 - for who started us


def _allow_many_connections() -> None:
    """Raise the limit of open files: the usual 1,024 is less than what admission lets in."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
