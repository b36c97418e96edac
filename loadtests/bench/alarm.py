"""Waiting for a moment, to some microseconds, without spinning.

The event loop's timers know whole milliseconds. Who spins through the last of them takes the core
from whoever shares it: with Valkey there, that was three quarters of every read's time.
"""

import asyncio
import ctypes
import os
import sys
from time import perf_counter
from types import TracebackType
from typing import Self

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_SPIN_S = 100e-6
"""What is so near is not worth the system calls."""

_COARSE_S = 2e-3


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Moment), ("at", _Moment))


class Alarm:
    """Wakes a coroutine; a timer of the kernel on Linux, elsewhere the loop's and a spin."""

    def __init__(self) -> None:
        """Set no alarm yet."""
        self._file = -1
        self._rung = asyncio.Event()
        if sys.platform.startswith("linux"):
            self._libc = ctypes.CDLL(None)
            self._file = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK)

    async def wait(self, until: float) -> None:
        """Return once `time.perf_counter` says `until`; that is CLOCK_MONOTONIC there."""
        while (left := until - perf_counter()) > 0:
            if self._file < 0:
                await asyncio.sleep(left if left > _COARSE_S else 0)
            elif left < _SPIN_S:
                await asyncio.sleep(0)
            else:
                await self._ring(until)

    async def _ring(self, at: float) -> None:
        seconds, rest = divmod(at, 1)
        setting = _Setting(at=_Moment(int(seconds), int(rest * 1e9)))
        self._rung.clear()
        self._libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(setting), None)
        await self._rung.wait()

    def _take(self) -> None:
        os.read(self._file, 8)
        self._rung.set()

    def __enter__(self) -> Self:
        """Listen to the timer."""
        if self._file >= 0:
            asyncio.get_running_loop().add_reader(self._file, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Listen no more."""
        if self._file >= 0:
            asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)
