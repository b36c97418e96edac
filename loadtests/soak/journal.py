"""The steps that were made, in a file: a line each, and what a kill left half-written is none."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.run import LoadTestError
from loadtests.soak.step import Load, Step


class Journal:
    """The steps of a folder."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`; raise `LoadTestError` where it cannot be one."""
        self._path = folder / "steps.jsonl"
        self._lock = folder / ".lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LoadTestError(f"--out: {folder}: {error.strerror}") from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others out; raise `LoadTestError` where one is at work."""
        with self._lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LoadTestError(f"--out: a soak runs in {self._path.parent}") from None
            yield

    def steps(self, load: Load) -> list[Step]:
        """Return the whole steps; raise `LoadTestError` where they were not of this `load`."""
        steps = [self._read(number, line) for number, line in enumerate(self._whole(), 1)]
        for step in steps:
            if step.load != load:
                raise LoadTestError(
                    f"--out: {self._path} has steps of {step.load.step_s:g} s at "
                    f"{step.load.rate:g} requests/s, of {step.load.items} items, "
                    f"{step.load.shoppers} shoppers and {step.load.trees} trees; "
                    "go on with these or name another folder"
                )
        return steps

    def append(self, step: Step) -> None:
        """Add a step behind the last whole one, and see it on disk."""
        whole = "".join(self._whole()).encode()
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.truncate(len(whole))
            file.seek(len(whole))
            file.write(step.line().encode())
            file.flush()
            os.fsync(file.fileno())

    def _whole(self) -> list[str]:
        if not self._path.exists():
            return []
        text = self._path.read_text(encoding="utf-8", errors="replace")
        return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def _read(self, number: int, line: str) -> Step:
        try:
            return Step.read(line)
        except ValueError as error:
            raise LoadTestError(f"{self._path}: line {number} is no step ({error})") from None
