"""Scores beside what came of them: as probabilities of a click, whether they are any or not.

Bins are narrow where clicks are: with one click in fifty items, tenths would put all into the
first. Only what a model ranked has scores; popular items have their popularity.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

EDGES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
RANKED = ("model", "cache")
"""Sources of lists whose scores are a model's."""

_KEY = ("recommendation_id", "item_id")


@dataclass(slots=True)
class Calibration:
    """Items, the sum of their scores, and clicks, by bin; and how far scores go beyond 0 and 1."""

    lowest: float = 0.0
    highest: float = 0.0
    _bins: dict[int, tuple[int, float, float]] = field(default_factory=dict)

    def add(self, lists: pl.DataFrame, credited: pl.DataFrame) -> None:
        """Count the items of lists, and those of them that clicks are credited for."""
        ranked = lists.filter(pl.col("source").is_in(RANKED))
        items = ranked.select("recommendation_id", "scores", item_id="items")
        items = items.explode("item_id", "scores").drop_nulls()
        clicked = credited.filter(type="click").select(_KEY).unique()
        told = items.join(clicked.with_columns(clicked=pl.lit(1.0)), on=_KEY, how="left")
        score = pl.col("scores").cast(pl.Float64)
        place = pl.sum_horizontal((score > edge).cast(pl.Int32) for edge in EDGES)
        counted = told.group_by(place.alias("bin")).agg(
            pl.len(), score.sum().alias("score"), pl.col("clicked").sum()
        )
        for number, items_, predicted, clicks in counted.rows():
            before = self._bins.get(number, (0, 0.0, 0.0))
            self._bins[number] = before[0] + items_, before[1] + predicted, before[2] + clicks
        scores = told["scores"].to_numpy()
        self.lowest = min(self.lowest, float(scores.min(initial=0.0)))
        self.highest = max(self.highest, float(scores.max(initial=0.0)))

    def told(self) -> Iterator[dict[str, float]]:
        """Yield of each bin its ends, items, and the clicks that were predicted and that came."""
        ends = (0.0, *EDGES, 1.0)
        for number, (items, predicted, clicks) in sorted(self._bins.items()):
            yield {
                "from": ends[number],
                "to": ends[number + 1],
                "items": items,
                "predicted": predicted,
                "clicks": clicks,
            }
