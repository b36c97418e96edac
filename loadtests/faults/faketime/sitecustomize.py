"""Python as libfaketime can bear it: its `clock_nanosleep`, which `time.sleep` calls, fails."""

import select
import time
from typing import SupportsFloat, SupportsIndex


def _sleep(seconds: SupportsFloat | SupportsIndex) -> None:
    select.select([], [], [], float(seconds))


time.sleep = _sleep
