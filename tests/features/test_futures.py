"""Tasks end however often they must be told."""

import asyncio

from features import futures


async def _answer() -> None:
    """Return at once."""


async def test_a_task_whose_cancellation_got_lost_ends() -> None:
    """`wait_for` of Python 3.11 loses what comes as its future ends; the task is told again."""

    async def asks_and_waits() -> None:
        await asyncio.wait_for(_answer(), 60)  # what redis-py does with each write
        await asyncio.Event().wait()

    task = asyncio.create_task(asks_and_waits())
    await asyncio.sleep(0)  # what it waits for ends in the turn in which it is told to end
    await futures.end(task)
    assert task.cancelled()


async def test_several_end_and_one_that_fails_meanwhile() -> None:
    """All have ended, each in its way."""

    async def refuses() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    tasks = [asyncio.create_task(start()) for start in (refuses, fails, _answer)]
    await asyncio.sleep(0)
    await futures.end(*tasks)
    refused, failed, answered = tasks
    assert refused.cancelled()
    assert isinstance(failed.exception(), ValueError)
    assert answered.result() is None


async def test_nothing_to_end() -> None:
    """It returns at once."""
    await futures.end()
