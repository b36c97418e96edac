"""What processes hold, from /proc: memory, open files and threads."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory, in MB of 2^20 bytes.

    `pss_mb` shares common pages out among those who map them; `anonymous_mb` is what has no
    file behind it: heaps and stacks, where a leak would be.
    """

    rss_mb: float
    pss_mb: float
    anonymous_mb: float


def memory(pids: Iterable[int]) -> Memory:
    """Return what the processes hold together; one that has ended holds nothing."""
    told = [_rollup(pid) for pid in pids]
    return Memory(*(sum(each.get(name, 0) for each in told) / 1_024 for name in _FIELDS))


def open_files(pid: int) -> int:
    """Return how many file descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


_FIELDS = ("Rss", "Pss", "Anonymous")


def _rollup(pid: int) -> dict[str, int]:
    """Return the sizes of a process by their names, in kB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    named = (line.partition(":") for line in lines)
    return {name: int(size.split()[0]) for name, _, size in named}
