"""What runs beside the workers of a single machine: Valkey, event consumers, who fetches models.

Nothing here has a thread, and nothing waits but `start` and `stop`: the master's loop calls
`tend` about once a second, and has workers to look after and signals to hear.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from features.child_process import end_child, start_child
from features.errors import FeaturesError
from features.online.embedded import EmbeddedValkey

log = logging.getLogger(__name__)

Clock = Callable[[], float]

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
NICENESS = 10
"""Writing tables takes every core for a moment; shoppers who wait come first."""


FOLLOW = (sys.executable, "-m", "models", "follow")
"""What reaches for a bucket is a process of its own: no library of that is loaded to serve."""


class Pauses:
    """How soon a process may be started again: the more often it ended, the later.

    A pause counts from the last start, so that one that ran for long is back at once.
    """

    def __init__(self, clock: Clock) -> None:
        """Measure by `clock`, in seconds."""
        self._clock = clock
        self._started = self._next = float("-inf")
        self._pause_s = FIRST_PAUSE_S

    def is_over(self) -> bool:
        """Tell whether a start is due."""
        return self._clock() >= self._next

    def started(self) -> None:
        """Note a start, whether it worked or not."""
        now = self._clock()
        if now - self._started >= 2 * LONGEST_PAUSE_S:
            self._pause_s = FIRST_PAUSE_S
        self._started, self._next = now, now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


class Sidecar:
    """A child process that is started again when it ends."""

    def __init__(self, name: str, command: Sequence[str], clock: Clock = time.monotonic) -> None:
        """Start nothing yet."""
        self._name = name
        self._command = command
        self._pauses = Pauses(clock)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id, None where none runs."""
        return self._process.pid if self._process else None

    def tend(self) -> None:
        """Start the process if it does not run and its pause is over."""
        if self._process is not None and self._process.poll() is not None:
            log.warning("%s ended and will be started again", self._name)
            self._process = None
        if self._process is None and self._pauses.is_over():
            self._pauses.started()
            self._process = start_child(self._command, niceness=NICENESS, stdin=subprocess.DEVNULL)

    def terminate(self) -> None:
        """Tell the process to end once its work in hand is done."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """End the process, its work in hand done."""
        if self._process is None:
            return
        end_child(self._process)
        self._process = None


class Sidecars:
    """The embedded Valkey of `home`, the consumers of its event stream, and who follows models."""

    def __init__(
        self,
        home: Path,
        clock: Clock = time.monotonic,
        *,
        has_valkey: bool = True,
        follows: bool = False,
    ) -> None:
        """Start nothing yet; with `follows` the aliases of a shared registry are followed."""
        self._home = home
        self._valkey = EmbeddedValkey(home) if has_valkey else None
        self._pauses = Pauses(clock)
        self._missing = False
        groups = _consumer_groups() if has_valkey else ()
        self._others = [Sidecar(f"consumer {group}", _consume(group), clock) for group in groups]
        if follows:
            self._others.append(Sidecar("follower of models", FOLLOW, clock))

    @property
    def url(self) -> str | None:
        """Return where the embedded Valkey answers, None where there is none."""
        return self._valkey.url if self._valkey else None

    def start(self) -> None:
        """Start Valkey and wait until it answers; raise `FeaturesError` if it does not."""
        if self._valkey is not None:
            self._pauses.started()
            self._valkey.start()

    def tend(self) -> None:
        """Start again whatever has ended."""
        if self._valkey is not None:
            self._tend_valkey(self._valkey)
        for other in self._others:
            other.tend()

    def stop(self) -> None:
        """End the others, then Valkey."""
        for other in self._others:
            other.terminate()
        for other in self._others:
            other.stop()
        if self._valkey is not None:
            self._valkey.stop()

    def _tend_valkey(self, valkey: EmbeddedValkey) -> None:
        if valkey.is_alive():
            self._missing = False
            return
        if not self._missing:
            told = self._home / "valkey" / "valkey.log"
            log.warning("the embedded Valkey ended and will be started again; see %s", told)
        self._missing = True
        if not self._pauses.is_over():
            return
        self._pauses.started()
        try:
            valkey.start_soon()
        except (FeaturesError, OSError) as error:
            log.error("the embedded Valkey: %s", error)  # noqa: TRY400 - it is tried again


def _consumer_groups() -> tuple[str, ...]:
    if find_spec("deltalake") is None:
        log.warning("events stay in the stream: the offline store needs pip install 'cuvee[train]'")
        return ("online",)
    return ("online", "offline")


def _consume(group: str) -> tuple[str, ...]:
    return sys.executable, "-m", "features", "consume", "--group", group
