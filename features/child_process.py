"""Child processes that end with their parent, however the parent ends."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_AUTOGROUP = Path("/proc/self/autogroup")
_END_TIMEOUT_S = 10.0


def start_child(
    command: Sequence[str],
    *,
    niceness: int = 0,
    **options: Any,  # noqa: ANN401
) -> "subprocess.Popen[bytes]":
    """Start `command`, so much nicer than us; on Linux it gets SIGTERM when this process is gone.

    It gets a session of its own: an interrupt from the terminal is ours to pass on. Call it
    from the main thread, whose end would end the child too. `options` are those of `Popen`.
    """
    return subprocess.Popen(  # noqa: S603 (commands are the callers' own)
        command,
        start_new_session=True,
        preexec_fn=_prepare(niceness),  # noqa: PLW1509 (two system calls, no lock)
        **options,
    )


def end_child(child: "subprocess.Popen[bytes]") -> None:
    """Let `child` end with its work in hand done; kill it if that takes longer than 10 s."""
    child.terminate()
    try:
        child.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _prepare(niceness: int) -> Callable[[], None]:
    if not sys.platform.startswith("linux"):
        return lambda: _be_nice(niceness)
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        _be_nice(niceness)

    return prepare


def _be_nice(niceness: int) -> None:
    """Be nicer, to processes of other sessions as well.

    Where Linux schedules by session (`sched(7)`, autogroups) a process is nice only within its own.
    """
    if niceness:
        os.nice(niceness)
        with suppress(OSError):  # it does not schedule so, or is no Linux
            _AUTOGROUP.write_text(str(niceness))
