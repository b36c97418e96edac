"""What follows answers is done in the next turn of the loop, whatever becomes of one of them."""

import asyncio
import logging

import pytest

from server.afterwards import Afterwards


async def test_it_waits_until_the_turn_is_over() -> None:
    """Nothing is done where it was told; in the next turn all is, in order."""
    done, after = list[int](), Afterwards()
    for number in range(3):
        after.do(done.append, number)
    assert done == []
    await asyncio.sleep(0)
    assert done == [0, 1, 2]


async def test_one_that_fails_keeps_nobody_from_their_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged, and those behind it are done."""
    done, after = list[int](), Afterwards()
    after.do(done.remove, 1)
    after.do(done.append, 2)
    with caplog.at_level(logging.ERROR):
        await asyncio.sleep(0)
    assert done == [2]
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_what_is_told_meanwhile_has_a_turn_of_its_own() -> None:
    """What follows may tell more: that is done once, and later."""
    done, after = list[str](), Afterwards()

    def tell() -> None:
        after.do(done.append, "later")
        done.append("now")

    after.do(tell)
    await asyncio.sleep(0)
    assert done == ["now"]
    await asyncio.sleep(0)
    assert done == ["now", "later"]
    await asyncio.sleep(0)
    assert done == ["now", "later"]
