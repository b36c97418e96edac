"""What runs beside the workers of a single machine: the embedded Valkey and event consumers.

Nothing here has a thread: the master's loop calls `tend` about once a second.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from features.child_process import start_child
from features.embedded import EmbeddedValkey
from features.errors import FeaturesError

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STOP_TIMEOUT_S = 10.0


class Sidecar:
    """A child process that is started again when it ends, with growing pauses."""

    def __init__(
        self, name: str, command: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start nothing yet."""
        self._name = name
        self._command = command
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._pause_s = FIRST_PAUSE_S
        self._start_at = 0.0

    @property
    def pid(self) -> int | None:
        """Return the process id, None where none runs."""
        return self._process.pid if self._process else None

    def tend(self) -> None:
        """Start the process if it does not run and its pause is over."""
        if self._process is not None and self._process.poll() is not None:
            log.warning("%s ended, starting it again in %.0f s", self._name, self._pause_s)
            self._process = None
            self._start_at = self._clock() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        if self._process is None and self._clock() >= self._start_at:
            self._process = start_child(self._command, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        """End the process, its work in hand done."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class Sidecars:
    """The embedded Valkey of `home` and the consumers of its event stream."""

    def __init__(self, home: Path) -> None:
        """Start nothing yet."""
        self._valkey = EmbeddedValkey(home)
        self._consumers = [
            Sidecar(f"consumer {group}", _consume(group)) for group in _consumer_groups()
        ]

    @property
    def url(self) -> str:
        """Return where the embedded Valkey answers."""
        return self._valkey.url

    def start(self) -> None:
        """Start Valkey and wait until it answers; raise `FeaturesError` if it does not."""
        self._valkey.start()

    def tend(self) -> None:
        """Start again whatever has ended."""
        if not self._valkey.is_alive():
            log.warning("the embedded Valkey ended, starting it again")
            try:
                self._valkey.start()
            except FeaturesError as error:
                log.error("%s", error)  # noqa: TRY400 - it is tried again
        for consumer in self._consumers:
            consumer.tend()

    def stop(self) -> None:
        """End the consumers, then Valkey."""
        for consumer in self._consumers:
            consumer.stop()
        self._valkey.stop()


def _consumer_groups() -> tuple[str, ...]:
    if find_spec("deltalake") is None:
        log.warning("events stay in the stream: the offline store needs pip install 'cuvee[train]'")
        return ("online",)
    return ("online", "offline")


def _consume(group: str) -> tuple[str, ...]:
    return sys.executable, "-m", "features", "consume", "--group", group
