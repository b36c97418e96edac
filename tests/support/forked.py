"""`python -m features` forked from a process that has imported what it needs: a run costs little.

python -m tests.support.forked      a run as JSON a line in; its process id and how it ended out
"""

import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
_NEEDED = (
    "features.datasets.commands",
    "features.ingest.command",
    "features.materialize",
    "features.training.command",
    "pandas",
    "pointblank",
    "pyarrow.compute",
)


class Features:
    """Runs commands over a home, one after the other; what they print is in `log`."""

    def __init__(self, log: Path) -> None:
        """Run nothing yet."""
        self.log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, bufsize=1,
        )  # fmt: skip

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave nothing running."""
        self._process.communicate()

    def start(self, home: Path, *words: object, largest_file: int = -1) -> int:
        """Start a command and return its process id; `end` must be called before another.

        It may write no file longer than `largest_file` bytes, if that is given.
        """
        told = {
            "words": list(map(str, words)),
            "home": str(home),
            "log": str(self.log),
            "largest_file": largest_file,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        return self._line()

    def end(self) -> int:
        """Wait for the command and return its exit code; below 0 for a signal."""
        return self._line()

    def run(self, home: Path, *words: object, largest_file: int = -1) -> int:
        """Run a command to its end, and return the exit code."""
        self.start(home, *words, largest_file=largest_file)
        return self.end()

    def kill(self, moment_s: float, home: Path, *words: object) -> None:
        """Start a command and kill it that much later, if it still runs then."""
        pid = self.start(home, *words)
        time.sleep(moment_s)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.end()

    def told(self) -> str:
        """Return what the last command printed."""
        return self.log.read_text(encoding="utf-8")

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def command(words: list[str], home: str, log: str, largest_file: int) -> None:
    """Be `python -m features` with these words."""
    with Path(log).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    os.environ["CUVEE_HOME"] = home
    os.environ.pop("CUVEE_REDIS_URL", None)
    sys.argv = ["features", *words]
    runpy.run_path(str(ROOT / "features" / "__main__.py"), run_name="__main__")


def main() -> None:
    """Fork a command for each line."""
    for module in _NEEDED:
        with suppress(ModuleNotFoundError):  # pandas is no need of ours; Arrow looks for it
            import_module(module)
    out = sys.stdout
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            command(**json.loads(line))
            os._exit(0)
        print(pid, file=out, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=out, flush=True)


if __name__ == "__main__":
    main()
