"""A library as a rule: a process of its own that is told each window and says what has drifted."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from loadtests.drift.libraries import LENGTH
from loadtests.run import ROOT, LoadTestError
from models.reference.rows import Rows

PYTHON = ROOT / ".venv-detectors/bin/python"
"""The libraries have an environment of their own: `make detectors` makes it."""


class Peer:
    """Looks at each window alone, so that one serves for everything in a world."""

    def __init__(
        self, rows: IO[bytes], answers: IO[bytes], errors: IO[bytes], reference: Rows
    ) -> None:
        """Tell the process at the other end what to compare with."""
        self._rows, self._answers, self._errors = rows, answers, errors
        self._seconds = 0.0
        self._tell(reference)

    def clock(self) -> float:
        """Return the processor time that it says its looks took."""
        return self._seconds

    def look(self, window: Rows) -> set[str]:
        """Return the columns that have drifted; raise `LoadTestError` where it ended."""
        self._tell(window)
        if not (line := self._answers.readline()):
            raise self._ended()
        drifted, seconds = json.loads(line)
        self._seconds += seconds
        return set(drifted)

    def _tell(self, rows: Rows) -> None:
        told = BytesIO()
        columns = {
            name: each.astype(str) if each.dtype == np.object_ else each
            for name, each in rows.values.items()
        }
        np.savez(told, allow_pickle=False, **columns)
        content = told.getvalue()
        try:
            self._rows.write(len(content).to_bytes(LENGTH) + content)
            self._rows.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _ended(self) -> LoadTestError:
        self._errors.seek(0)
        told = self._errors.read().decode(errors="replace")
        return LoadTestError(f"a library ended\n{told[-2_000:]}")


def command(library: str, python: Path = PYTHON) -> tuple[str, ...]:
    """Return how a library is started."""
    return str(python), "-m", "loadtests.drift.libraries", library


@contextmanager
def started(program: Sequence[str], reference: Rows) -> Iterator[Peer]:
    """Yield a library that knows the reference; it ends with the context."""
    with (
        TemporaryFile() as errors,
        subprocess.Popen(
            program,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Peer(process.stdin, process.stdout, errors, reference)
        finally:
            process.kill()
