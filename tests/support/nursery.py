"""Consumers of events, forked ready-made from one process: killing hundreds takes a minute.

python -m tests.support.nursery HOME      a group's name a line in, a process id a line out
"""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import features.stream.archive  # noqa: F401 - what a consumer needs is there when it is forked
from features.stream.consumer import consume
from features.stream.event_stream import Group

ROOT = Path(__file__).parents[2]


class Nursery:
    """Starts consumers of a home; at the end all of them are killed."""

    def __init__(self, home: Path) -> None:
        """Start no consumer yet."""
        self._log = (home / "consumers.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery", str(home)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            cwd=ROOT, text=True, bufsize=1,
        )  # fmt: skip
        self._living: set[int] = set()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave nothing running."""
        for pid in list(self._living):
            self.kill(pid)
        self._process.communicate()
        self._log.close()

    def start(self, group: Group) -> int:
        """Start a consumer and return its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{group}\n")
        pid = int(self._process.stdout.readline())
        self._living.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        """End one, wherever it is."""
        self._living.discard(pid)
        with suppress(ProcessLookupError):  # one that began while the store was away has ended
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Fork a consumer for each line."""
    home = Path(sys.argv[1])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            asyncio.run(consume(Group(line.strip()), home, linger_s=0.0, take_over_s=0.0))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
