"""How much of the catalogue a thousand lists show, and how sure that is.

A figure that may be compared must not grow with the lists it is of: of N lists, n_i of which show
item i, a thousand drawn at random show it with probability 1 - (1 - n_i / N)^1000 (as rarefaction,
Hurlbert 1971, with lists put back). Its variance is the jackknife's, leaving out a tenth of the
shoppers at a time, with all their lists.
"""

from dataclasses import dataclass, field

import polars as pl

from monitoring.performance.moments import Figure

DRAWN = 1_000
GROUPS = 10

_SHOWN = {"group": pl.UInt64, "item_id": pl.String, "count": pl.UInt32}


@dataclass(slots=True)
class Coverage:
    """Lists by item and tenth of the shoppers; of 16 bytes an item and tenth."""

    lists: list[int] = field(default_factory=lambda: [0] * GROUPS)
    shoppers: int = 0
    _shown: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_SHOWN))

    def add(self, lists: pl.DataFrame) -> None:
        """Count lists (`shopper`, `items`) of shoppers that were not counted before."""
        group = (pl.col("shopper").hash(seed=1) % GROUPS).alias("group")
        grouped = lists.select(group, "shopper", item_id="items")
        for number, count in grouped.group_by("group").len().rows():
            self.lists[number] += count
        self.shoppers += lists["shopper"].n_unique()
        shown = (
            grouped.select("group", pl.col("item_id").list.unique())
            .explode("item_id")
            .drop_nulls()
            .group_by("group", "item_id")
            .agg(pl.len().cast(pl.UInt32).alias("count"))
        )
        together = pl.concat((self._shown, shown.select(*_SHOWN)))
        self._shown = together.group_by("group", "item_id").agg(pl.col("count").sum())

    def figure(self, catalogue: int) -> Figure | None:
        """Return the share of so many items, None of too few lists or items to tell."""
        count = sum(self.lists)
        if count < DRAWN or not catalogue:
            return None
        value = self._of(self._shown, count) / catalogue
        without = [
            self._of(self._shown.filter(pl.col("group") != group), count - lists) / catalogue
            for group, lists in enumerate(self.lists)
            if lists and lists < count
        ]
        if not without:
            return None
        mean = sum(without) / len(without)
        squares = sum((each - mean) ** 2 for each in without)
        variance = (len(without) - 1) / len(without) * squares
        return Figure(value, variance, count, self.shoppers)

    def _of(self, shown: pl.DataFrame, count: int) -> float:
        by_item = shown.group_by("item_id").agg(pl.col("count").sum())["count"]
        chance = 1.0 - (1.0 - by_item.cast(pl.Float64) / count) ** DRAWN
        return float(chance.sum())
