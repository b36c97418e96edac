"""Child processes that end with their parent, however the parent ends."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

_PR_SET_PDEATHSIG = 1
_END_TIMEOUT_S = 10.0


def start_child(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":  # noqa: ANN401
    """Start `command`; on Linux it gets SIGTERM when this process is gone.

    It gets a session of its own: an interrupt from the terminal is ours to pass on. Call it
    from the main thread, whose end would end the child too. `options` are those of `Popen`.
    """
    return subprocess.Popen(  # noqa: S603 (commands are the callers' own)
        command,
        start_new_session=True,
        preexec_fn=_end_with_parent(),  # noqa: PLW1509 (one system call, no lock)
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


def _end_with_parent() -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
