"""Who is asked for together; it needs nothing but Python, as peers do."""

from collections.abc import Iterator
from itertools import cycle, islice


def groups_of(users: list[str], size: int) -> Iterator[list[str]]:
    """Yield so many shoppers at a time, for ever."""
    endless = cycle(users)
    while True:
        yield list(islice(endless, size))
