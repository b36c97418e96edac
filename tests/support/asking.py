"""Waiting for what is told by a call."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from features.futures import settle


def result_of(ask: Callable[..., None], *arguments: Any) -> "asyncio.Future[Any]":
    """Call `ask` and return what it will tell: a result, or an exception to be raised."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    ask(*arguments, partial(settle, future))
    return future
