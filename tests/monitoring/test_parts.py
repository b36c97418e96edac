"""Parts that run beside one another, and fail alone."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from monitoring.parts import run_parts


class Counting:
    """A part that counts its steps, and fails in some."""

    def __init__(self, name: str, stop: asyncio.Event, *, fails: bool = False) -> None:
        """Take no step yet."""
        self.name = name
        self.steps = 0
        self.is_closed = False
        self._stop = stop
        self._fails = fails

    async def step(self) -> None:
        """Count; the tenth step is the last."""
        self.steps += 1
        if self.steps == 10:
            self._stop.set()
        if self._fails:
            raise RuntimeError("a defect")

    async def close(self) -> None:
        """End."""
        self.is_closed = True


async def test_each_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged and counted, and goes on; all are closed at the end."""
    stop, registry = asyncio.Event(), CollectorRegistry()
    broken, well = Counting("broken", stop, fails=True), Counting("well", stop)
    async with asyncio.timeout(30):
        await run_parts([broken, well], 0.001, stop, registry)
    assert min(broken.steps, well.steps) >= 9
    assert broken.is_closed
    assert well.is_closed
    assert "a step of broken failed" in caplog.text
    failures = [
        registry.get_sample_value("cuvee_monitor_failures_total", {"part": name})
        for name in ("broken", "well")
    ]
    assert failures == [broken.steps, 0]


async def test_one_that_waits_keeps_no_other_waiting() -> None:
    """Each has its own pace."""
    stop = asyncio.Event()

    class Waiting(Counting):
        async def step(self) -> None:
            self.steps += 1
            await stop.wait()

    waiting, well = Waiting("waiting", stop), Counting("well", stop)
    async with asyncio.timeout(30):
        await run_parts([waiting, well], 0.001, stop, CollectorRegistry())
    assert (waiting.steps, well.steps) == (1, 10)
