"""Who asks the service, in a process of its own, and how it was answered."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.generator import Answer
from loadtests.bench.measure import OTHERS_CORE, PATH, pinned
from loadtests.run import ROOT, LoadTestError


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks at `rate` for `seconds` with the bodies in a file, each time one line.

    `connections` are there before the first request; more are opened where they are needed.
    """

    bodies: Path
    rate: float
    seconds: float
    connections: int = 0
    ends_with_it: bool = False
    """Whether to ask no longer than what is done beside it takes."""

    @asynccontextmanager
    async def asking(self, port: int, answers: list[Answer]) -> AsyncIterator[None]:
        """Ask beside what is done inside, wait for the end, and add to `answers`."""
        path = self.bodies.with_name(f"answers-{id(self)}.json")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadtests.bench.generator", "--port", str(port)),
            *("--path", PATH, "--bodies", str(self.bodies), "--answers", str(path)),
            *("--seconds", str(self.seconds), "--rate", str(self.rate)),
            *("--connections", str(self.connections)),
            cwd=ROOT,
            stdout=asyncio.subprocess.DEVNULL,
            preexec_fn=pinned(OTHERS_CORE),
        )
        try:
            yield
            if self.ends_with_it:
                process.terminate()
            if await process.wait():
                raise LoadTestError(f"the generator ended with code {process.returncode}")
            answers += _read(path)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _read(path: Path) -> list[Answer]:
    """Return every answer; `due_s` in seconds of `time.time`."""
    told = json.loads(path.read_text())
    answers = [Answer(*each) for each in told["answers"]]
    return [each._replace(due_s=each.due_s + told["began"]) for each in answers]
