"""Segments read at once are what they are line by line; with a line that is none, line by line."""

import numpy as np
import pytest

from features.lists.columns import read_together, rows_of
from features.lists.line import Noted, UsedFeatures, encode
from tests.support.listed import USED_COLUMNS, line_of_before, list_line

AT_MS = 1_760_000_000_000


def segment(seed: int, count: int = 50) -> bytes:
    """Return lists of all kinds: long and short, with chances and without, of strange words."""
    random = np.random.default_rng(seed)
    lines = []
    values = random.normal(scale=1e4, size=(count, 3)).astype(np.float32)
    for number in range(count):
        used = UsedFeatures(np.array([np.nan, *values[number]], np.float32), "5ced", AT_MS + number)
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
                used=None if random.random() < 0.5 else used,
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
        list_line("r", "u", AT_MS, used=([1.0], "5ced", None)),
        list_line("r", "u", AT_MS, used=([1.0], None, AT_MS)),
        list_line("r", "u", AT_MS, used=(None, "5ced", AT_MS)),
        list_line("r", "u", AT_MS, used=([True], "5ced", AT_MS)),
        list_line("r", "u", AT_MS, used=("one", "5ced", AT_MS)),
        list_line("r", "u", AT_MS, used=([1.0], "5ced", 1 << 50)),
        list_line("r", "u", AT_MS, used=([1.0], "5ced", -1)),
    ],
)
def test_what_may_be_none_is_looked_at_alone(strange: bytes) -> None:
    """It keeps no other from being read."""
    assert read_together(strange) is None
    batch, _ = rows_of(list_line("r1", "u", AT_MS) + strange)
    assert "r1" in batch.column("recommendation_id").to_pylist()


@pytest.mark.parametrize("torn", [b"", b"{"])
def test_features_are_what_was_used_to_the_last_bit(torn: bytes) -> None:
    """Whichever way they are read: a float of 32 bits is written as the number that it is."""
    random = np.random.default_rng(5)
    bits = random.integers(0, 1 << 32, 20_000, np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    line = list_line(
        "r", "u", AT_MS, used=UsedFeatures(np.array([*values, np.nan], np.float32), "5ced", AT_MS)
    )
    batch, _ = rows_of(line + torn)
    told = batch.column("features")[0].values
    assert told.null_count == 1
    assert told[-1].as_py() is None
    assert told.slice(0, len(values)).to_numpy().tobytes() == values.tobytes()
    assert batch.column("as_of").equals(batch.column("served_at"))


def test_lines_of_before_features_were_kept_have_none() -> None:
    """Alone, and beside such that have some."""
    before = line_of_before("r1", "u", AT_MS, ["i1"])
    new = list_line(
        "r2",
        "u",
        AT_MS,
        ["i1"],
        used=UsedFeatures(np.array([np.nan, 2.5], np.float32), "5ced", AT_MS - 7),
    )
    for lines in ([before], [before, new], [new, before]):
        batch = read_together(b"".join(lines))
        assert batch is not None
        assert (batch, 1) == rows_of(b"".join(lines) + b"{")
        told = {row["recommendation_id"]: row["features"] for row in batch.to_pylist()}
        assert told == {"r1": None, "r2": [None, 2.5]} if len(lines) > 1 else {"r1": None}
        nulls = [batch.column(name).null_count for name in USED_COLUMNS]
        assert nulls == [1, 1, 1]
