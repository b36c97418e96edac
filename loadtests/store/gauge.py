"""What a client of a store measures of itself; it needs nothing but Python, as peers do."""

from pathlib import Path
from time import process_time


class Gauge:
    """Wall time of calls one by one, and the processor time of this process since the start."""

    def __init__(self) -> None:
        """Start."""
        self._seconds: list[float] = []
        self._began = process_time()

    def note(self, seconds: float) -> None:
        """Note what one call took."""
        self._seconds.append(seconds)

    def told(self, name: str, shoppers: int) -> dict[str, float]:
        """Return figures under names that begin with `name`; each call was for so many shoppers."""
        used_s = process_time() - self._began
        ordered = sorted(self._seconds)
        count = len(ordered)
        return {
            f"{name}_p50_ms": 1e3 * ordered[count // 2],
            f"{name}_p99_ms": 1e3 * ordered[min(int(0.99 * count), count - 1)],
            f"{name}_cpu_ms": 1e3 * used_s / (count * shoppers),
        }


def peak_mb() -> float:
    """Return the most memory that this process ever had resident, in MB.

    `getrusage` would tell that of whoever started it, if that was larger.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1_024
    return 0.0
