"""What follows answers and nobody waits for: it is done once those of a turn were sent.

The loop writes to sockets when a turn ends. What is counted and logged of an answer would
keep it from its client, and together with that of others it costs less than one by one.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVarTuple

log = logging.getLogger(__name__)

Told = TypeVarTuple("Told")


class Afterwards:
    """Calls, in the next turn of the event loop, what was told in this one."""

    def __init__(self) -> None:
        """Have nothing to do yet."""
        self._due: list[tuple[Callable[..., None], tuple[object, ...]]] = []

    def do(self, act: Callable[[*Told], None], *told: *Told) -> None:
        """Call `act` soon; what it raises is logged, and keeps nobody else from their turn."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._do_all)
        self._due.append((act, told))

    def _do_all(self) -> None:
        due, self._due = self._due, []
        for act, told in due:
            try:
                act(*told)
            except Exception:  # others wait behind it
                log.exception("what follows an answer failed")
