"""A piece that is measured in a process of its own: started, and its figures read."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from loadtests.run import ROOT, LoadTestError

FEAST_PYTHON = ROOT / ".venv-feast/bin/python"
"""Feast has an environment of its own: `make feast` makes it."""


def own(
    module: str, *options: str | Path | int, prepare: Callable[[], None] | None = None
) -> dict[str, float]:
    """Return what `loadtests.store.MODULE` of ours tells; see `_figures`."""
    return _figures(sys.executable, f"loadtests.store.{module}", options, prepare)


def feast(
    verb: str, *options: str | Path | int, prepare: Callable[[], None] | None = None
) -> dict[str, float]:
    """Return what the peer's `verb` tells; see `_figures`."""
    module = "loadtests.store.feast_peer"
    return _figures(str(FEAST_PYTHON), module, (verb, *options), prepare)


def _figures(
    python: str,
    module: str,
    options: tuple[str | Path | int, ...],
    prepare: Callable[[], None] | None,
) -> dict[str, float]:
    """Return the figures that a program prints as JSON, and `whole_s`, from its start to its end.

    `prepare` is called in the child. Raises `LoadTestError` with the end of what it complained of.
    """
    started = perf_counter()
    done = subprocess.run(
        (python, "-m", module, *map(str, options)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=prepare,
    )
    whole_s = perf_counter() - started
    if done.returncode:
        raise LoadTestError(f"{module} ended with code {done.returncode}\n{done.stderr[-2_000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures | {"whole_s": whole_s}
