"""How much the service can do, so that it can be asked for more."""

from pathlib import Path

from loadtests.bench.measure import closed_loop

CONNECTIONS, SECONDS = 64, 3.0


def capacity(port: int, bodies: Path) -> float:
    """Return the requests a second that the service on `port` answers when always asked."""
    told = closed_loop(port, bodies, "", CONNECTIONS, SECONDS)
    return told.requests / told.seconds
