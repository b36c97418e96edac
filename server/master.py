"""gunicorn's master as we want it: it tends what runs beside the workers, and logs as we do."""

import logging
import signal
import sys
from typing import TYPE_CHECKING, Final

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from server.sidecars import Sidecars

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger(__name__)

UNUSABLE: Final = 2
"""A worker's exit code, and then the service's: a setting is such that it cannot start."""


class Master(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """Keeps workers and sidecars alive."""

    WORKER_BOOT_ERROR = UNUSABLE

    def __init__(self, app: BaseApplication, sidecars: Sidecars | None) -> None:
        """Tend `sidecars` if there are any."""
        self._sidecars = sidecars
        self._told_to_stop = False
        self._has_terminal = sys.stderr is not None and sys.stderr.isatty()
        super().__init__(app)

    def manage_workers(self) -> None:
        """Keep workers and sidecars alive; called about once a second."""
        super().manage_workers()
        if self._sidecars is None:
            return
        try:
            self._sidecars.tend()
        except Exception:  # the service lives on without what runs beside
            log.exception("what runs beside the workers cannot be tended")

    def signal(self, sig: int, frame: "FrameType | None") -> None:
        """Queue a signal: whoever asks for the end twice wants it at once."""
        if sig == signal.SIGTERM and self._told_to_stop:
            sig = signal.SIGQUIT
        self._told_to_stop |= sig == signal.SIGTERM
        super().signal(sig, frame)

    def handle_hup(self) -> None:
        """Replace the workers one by one; end with the terminal that we were started from."""
        if self._has_terminal:
            raise StopIteration
        super().handle_hup()


class MasterLog(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's log through our own: warnings and worse."""

    def setup(self, cfg: object) -> None:
        """Leave handlers and levels to the root logger."""
        self.cfg = cfg
        self.error_log = logging.getLogger("gunicorn.error")
        self.error_log.setLevel(logging.WARNING)
        self.error_log.propagate = True
        self.access_log = logging.getLogger("gunicorn.access")

    def reopen_files(self) -> None:
        """Do nothing: there are none."""
