"""Futures that are told what came out, a result or an error, and tasks that are to end."""

import asyncio
from typing import Any, TypeVar

T = TypeVar("T")

AGAIN_S = 0.2


def settle(future: "asyncio.Future[T]", outcome: T | Exception) -> None:
    """End `future` with `outcome`, unless it has ended or whoever waited has gone."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and return once all have ended, as often as each must be told.

    `asyncio.wait_for`, by which redis-py writes, loses a cancellation that comes as what it waits
    for ends (before Python 3.12: python/cpython#86296).
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
