"""What runs beside the workers is started again, not too often, and stopped."""

import os
import signal
import sys
import time
from pathlib import Path

from server.sidecars import FIRST_PAUSE_S, NICENESS, Sidecar

AUTOGROUPS = Path("/proc/sys/kernel/sched_autogroup_enabled")
SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def tend_until_gone(sidecar: Sidecar, pid: int) -> None:
    """Tend until the process is noticed to be gone."""
    deadline = time.monotonic() + 20
    while sidecar.pid == pid and time.monotonic() < deadline:
        sidecar.tend()
        time.sleep(0.01)
    assert sidecar.pid != pid


def test_a_sidecar_is_started_again_after_a_pause() -> None:
    """One that was killed comes back, and the second time only after twice the pause."""
    clock = Clock()
    sidecar = Sidecar("sleeper", SLEEPER, clock)
    try:
        for pause in (FIRST_PAUSE_S, 2 * FIRST_PAUSE_S):
            sidecar.tend()
            pid = sidecar.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            tend_until_gone(sidecar, pid)
            clock.now += pause / 2
            sidecar.tend()
            assert sidecar.pid is None
            clock.now += pause / 2
        sidecar.tend()
        assert sidecar.pid is not None
    finally:
        sidecar.stop()
    assert sidecar.pid is None


def test_a_sidecar_leaves_the_processor_to_shoppers() -> None:
    """It is nicer than the workers, though it has a session of its own."""
    sidecar = Sidecar("sleeper", SLEEPER)
    sidecar.tend()
    try:
        assert sidecar.pid is not None
        assert os.getpriority(os.PRIO_PROCESS, sidecar.pid) == os.nice(0) + NICENESS
        group = Path(f"/proc/{sidecar.pid}/autogroup")
        if AUTOGROUPS.exists() and AUTOGROUPS.read_text().strip() == "1":
            assert group.read_text().endswith(f" nice {NICENESS}\n")
    finally:
        sidecar.stop()


def test_stopping_what_never_started_is_nothing() -> None:
    """A sidecar that was never tended can be stopped."""
    Sidecar("none", SLEEPER).stop()
