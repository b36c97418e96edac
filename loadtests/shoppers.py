"""Who visits: known shoppers with skewed popularity, from a file or by number."""

import random
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

DEFAULT_COUNT = 1_000


class Shoppers:
    """Draws shopper ids by Zipf's law: the first visits twice as often as the second."""

    def __init__(self, ids: Sequence[str], seed: int = 0) -> None:
        """Take `ids` from the most to the least frequent visitor."""
        if not ids:
            raise ValueError("shoppers: expected at least one id")
        self._ids = ids
        self._weights = list(accumulate(1 / rank for rank in range(1, len(ids) + 1)))
        self._random = random.Random(seed)

    def draw(self) -> str:
        """Return the id of the next visitor."""
        return self._random.choices(self._ids, cum_weights=self._weights)[0]


def read_shoppers(path: str | None, count: int = DEFAULT_COUNT) -> list[str]:
    """Return the ids in `path`, one a line, or `u00001` and on where there is no file."""
    if not path:
        return [f"u{number:05d}" for number in range(1, count + 1)]
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
