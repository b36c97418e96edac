"""How many lists the service can rank, so that it can be asked for more."""

from pathlib import Path

from loadtests.bench.measure import closed_loop

CONNECTIONS = (4, 16, 64)
"""Few keep a cheap model from sharing runs, many a dear one from being asked at all."""

SECONDS = 2.0
RANKED = '"source":"model"'


def capacity(port: int, bodies: Path) -> float:
    """Return the most lists a second that the service on `port` ranks when always asked."""
    return max(_ranked(port, bodies, connections) for connections in CONNECTIONS)


def _ranked(port: int, bodies: Path, connections: int) -> float:
    told = closed_loop(port, bodies, RANKED, connections, SECONDS)
    return (told.requests - told.failed) / told.seconds
