"""Segments read at once are what they are line by line; with a line that is none, line by line."""

import numpy as np
import pytest

from features.lists.columns import read_together, rows_of
from features.lists.line import Noted, encode
from tests.support.listed import list_line

AT_MS = 1_760_000_000_000


def segment(seed: int, count: int = 50) -> bytes:
    """Return lists of all kinds: long and short, with chances and without, of strange words."""
    random = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        size = int(random.integers(0, 12))
        chances = random.random(size).tolist() if random.random() < 0.3 else ()
        lines.append(
            list_line(
                f"r{number}",
                str(random.choice(["ann", "am\u00e9lie", 'a "quote"', "\u7528\u6237", "it's"])),
                AT_MS + int(random.integers(10**9)),
                [f"i{n}" for n in random.integers(0, 99, size)],
                int(random.integers(0, 99)),
                propensities=chances,
                scores=random.normal(size=size).tolist(),
                segment=None if random.random() < 0.5 else "type=Red",
                variant=None if random.random() < 0.5 else "canary",
                reason=None if random.random() < 0.5 else "overload",
            )
        )
    return b"".join(lines)


@pytest.mark.parametrize("seed", range(4))
def test_at_once_is_as_line_by_line(seed: int) -> None:
    """To the last value; a torn line at the end is all that differs."""
    content = segment(seed)
    told = read_together(content)
    assert told is not None
    torn = b'{"recommendation_id":"r'
    assert read_together(content + torn) is None
    slowly, unreadable = rows_of(content + torn)
    assert (slowly.num_rows, unreadable) == (50, 1)
    assert told.equals(slowly)
    assert rows_of(content) == (told, 0)


@pytest.mark.parametrize(
    "strange",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        encode(b'{"recommendation_id":"r"}', Noted(AT_MS, "home")),
        list_line("r", "u", 1 << 60),
        list_line("r", "u", 1 << 50),
        list_line("r", "u", -1),
        list_line("r", "u", AT_MS, variant=7),
        list_line("r", "u", AT_MS, ["i1"], scores=["high"]),
        list_line("r", "u", AT_MS, ["i1"], propensities=(0.5, 0.5)),
        list_line("r", "u", AT_MS, after=1 << 40),
    ],
)
def test_what_may_be_none_is_looked_at_alone(strange: bytes) -> None:
    """It keeps no other from being read."""
    assert read_together(strange) is None
    batch, _ = rows_of(list_line("r1", "u", AT_MS) + strange)
    assert "r1" in batch.column("recommendation_id").to_pylist()
