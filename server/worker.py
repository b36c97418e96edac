"""One worker process, as gunicorn's master knows it.

What it serves with is imported by the worker itself, after the fork: the master, which only tends
processes, would keep 20 MB of it for nothing.
"""

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from gunicorn.workers.base import Worker

if TYPE_CHECKING:
    from server.launcher import Launcher


class ServiceWorker(Worker):  # type: ignore[misc] # gunicorn has no types
    """Serves until it is told to stop or its master is gone."""

    app: "Launcher"

    def init_signals(self) -> None:
        """Leave signals to the event loop; what only a master understands is not for us."""
        for each in self.SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        for each in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(each, signal.SIG_IGN)

    def run(self) -> NoReturn:
        """Serve, and end the process."""
        from server.service import Service  # noqa: PLC0415 - see above

        sys.exit(Service(self).run())
