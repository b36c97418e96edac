"""A carrier of served lists that is killed at one point of its way, each in a process of its own.

python -m tests.support.carrying HOME=POINT …      a process for each, and nothing is said
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from features.lists.carrier import Carrier
from features.offline.delta import DeltaTables
from features.offline.store import OfflineStore

POINTS = ("noted", "committing", "committed", "removing", "removed")


def dying(call: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    """Return a call that ends the process before it, or after it."""

    def killed(*words: Any, **named: Any) -> None:
        if after:
            call(*words, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return killed


def carry_and_die(home: Path, point: str) -> None:
    """Carry what is in a home, and be killed."""
    carrier = Carrier(OfflineStore(home))
    if point == "noted":
        OfflineStore.append_served = dying(OfflineStore.append_served, after=False)  # type: ignore[method-assign]
    elif point == "committing":
        DeltaTables.append = dying(DeltaTables.append, after=False)  # type: ignore[method-assign]
    elif point == "committed":
        OfflineStore.append_served = dying(OfflineStore.append_served, after=True)  # type: ignore[method-assign]
    elif point == "removing":
        Path.unlink = dying(Path.unlink, after=True)  # type: ignore[method-assign]
    else:
        Carrier._remove = dying(Carrier._remove, after=True)  # type: ignore[method-assign]
    carrier.carry()


def main() -> None:
    """Fork a process for each of the homes, before anything has threads."""
    for word in sys.argv[1:]:
        home, _, point = word.rpartition("=")
        pid = os.fork()
        if not pid:
            carry_and_die(Path(home), point)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL, word


if __name__ == "__main__":
    main()
