"""Futures that are told what came out, a result or an error."""

import asyncio
from typing import TypeVar

T = TypeVar("T")


def settle(future: "asyncio.Future[T]", outcome: T | Exception) -> None:
    """End `future` with `outcome`, unless it has ended or whoever waited has gone."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
