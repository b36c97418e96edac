"""Processor time and memory of a process and all that it started, from /proc."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> Iterator[int]:
    """Yield `pid` and its descendants that live."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _children(path):
            yield from tree(int(child))


def processor_s(pid: int) -> float:
    """Return the seconds of processor time, user and system, that the tree has used."""
    return sum(_ticks(each) for each in tree(pid)) / _TICKS


def resident_mb(pid: int) -> float:
    """Return the tree's proportional resident memory: shared pages are counted once."""
    return sum(_proportional_kb(each) for each in tree(pid)) / 1_024


def _children(path: Path) -> list[str]:
    """Return those of a thread, none where it has just ended."""
    try:
        return path.read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _proportional_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
