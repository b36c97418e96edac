"""The text Prometheus scrapes, whether one worker serves or several share a directory.

    one worker      registry ─ generate_latest
    several         PROMETHEUS_MULTIPROC_DIR/*.db of all workers ─ summed on a fresh registry

Counters and histograms of a dead worker go on counting (a total must not fall), its live gauges
go; `prepare_directory` empties the directory before the first worker starts.

Importing this module leaves prometheus_client alone: it chooses between memory and files when
it is first imported, and a parent must be able to call `prepare_directory` before that.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_LIVE_GAUGE = re.compile(r"gauge_live[a-z]*_(\d+)\.db")


def prepare_directory(path: Path) -> None:
    """Make `path` an empty directory and point this process and its children at it.

    Call it in the parent, before anything imports prometheus_client. Only metric files are
    removed.
    """
    path.mkdir(parents=True, exist_ok=True)
    for stale in path.glob("*.db"):
        stale.unlink(missing_ok=True)
    os.environ[DIRECTORY_VARIABLE] = str(path)


def mark_worker_dead(pid: int) -> None:
    """Take the live gauges of worker `pid` away; nothing to do with a single worker."""
    directory = os.environ.get(DIRECTORY_VARIABLE)
    if directory is not None:
        for gauge in Path(directory).glob(f"gauge_live*_{pid}.db"):
            gauge.unlink(missing_ok=True)


def render(registry: "CollectorRegistry") -> tuple[bytes, str]:
    """Return the exposition and its content type: `registry` alone, or all workers' sum.

    Takes a few milliseconds of processor time, so call it in a thread rather than on the event
    loop. A worker that was killed and not yet reported by `mark_worker_dead` is noticed here.
    """
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - see the module
    from prometheus_client.exposition import (  # noqa: PLC0415
        CONTENT_TYPE_LATEST,
        generate_latest,
    )

    directory = os.environ.get(DIRECTORY_VARIABLE)
    if directory is None:
        return generate_latest(registry), CONTENT_TYPE_LATEST
    _forget_killed_workers(Path(directory))
    merged = CollectorRegistry()
    merged.register(_SharedFiles(Path(directory)))
    return generate_latest(merged), CONTENT_TYPE_LATEST


class _SharedFiles:
    """Collects the metric files of all workers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def describe(self) -> Iterable["Metric"]:
        """Name nothing in advance: without this, registering would read the files once more."""
        return ()

    def collect(self) -> Iterable["Metric"]:
        """Merge every file, leaving out those that a starting worker has made but not sized."""
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        files = [str(path) for path in self._directory.glob("*.db") if path.stat().st_size]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


def _forget_killed_workers(directory: Path) -> None:
    matches = (_LIVE_GAUGE.fullmatch(path.name) for path in directory.glob("gauge_live*.db"))
    for pid in {int(match[1]) for match in matches if match}:
        if not _alive(pid):
            mark_worker_dead(pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
