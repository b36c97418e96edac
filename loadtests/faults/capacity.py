"""How many lists the service can rank, so that it can be asked for more."""

from pathlib import Path

from loadtests.bench.measure import closed_loop

CONNECTIONS, SECONDS = 4, 3.0
RANKED = '"source":"model"'


def capacity(port: int, bodies: Path) -> float:
    """Return the lists a second that the service on `port` ranks when always asked."""
    told = closed_loop(port, bodies, RANKED, CONNECTIONS, SECONDS)
    return (told.requests - told.failed) / told.seconds
