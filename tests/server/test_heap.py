"""Memory that was freed goes back to the system."""

import subprocess
import sys

import pytest

PROGRAM = """
from pathlib import Path
from server.heap import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

blocks = [bytes(3_000) for _ in range(20_000)]
last = blocks[-1]
del blocks
before = resident()
give_back()
print(before - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc keeps so much")
def test_what_was_freed_goes_back() -> None:
    """Sixty megabytes below one block that stays are not kept."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30
    )
    assert int(told.stdout) > 5_000
