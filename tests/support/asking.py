"""Waiting for what is told by a call."""

import asyncio
from collections.abc import Callable
from typing import Any


def result_of(ask: Callable[..., None], *arguments: Any) -> "asyncio.Future[Any]":
    """Call `ask` and return what it will tell: a result, or an exception to be raised."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def then(outcome: object) -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    ask(*arguments, then)
    return future
