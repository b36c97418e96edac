"""What each list came to, a row a list: all that figures are sums of.

    clicked bought paid      0 or 1, 0 or 1, money
    gain                     NDCG of what was clicked, 0 where nothing was
    first                    1 where the first click was on the first item
    unlike pairs             share of pairs of items of two categories; 1 where there is a pair
    clicks predicted         items that were clicked, and the sum of scores as their probabilities

NDCG has binary gains and the discount 1 / log2(place + 1) (Järvelin and Kekäläinen 2002); diversity
is that of Ziegler et al. (2005) with categories that are alike or not.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from monitoring.performance.calibration import RANKED

ID = "recommendation_id"
_MOST_PLACES = 100


@dataclass(frozen=True, slots=True)
class Ratio:
    """A metric as a ratio of two columns' sums; `kind` is the type of event it waits for."""

    x: str
    y: str
    kind: str | None = None


RATIOS = {
    "ctr": Ratio("clicked", "one", "click"),
    "conversion": Ratio("bought", "one", "purchase"),
    "revenue": Ratio("paid", "one", "purchase"),
    "ndcg": Ratio("gain", "clicked", "click"),
    "accuracy": Ratio("first", "clicked", "click"),
    "calibration": Ratio("clicks", "predicted", "click"),
    "diversity": Ratio("unlike", "pairs"),
}


def scored(lists: pl.DataFrame, credited: pl.DataFrame, categories: pl.DataFrame) -> pl.DataFrame:
    """Return `lists` with those columns.

    `credited` are their credits (`monitoring.outcomes.attribution`), `categories` has `item_id` and
    `category`.
    """
    told = lists.join(_clicks(credited, lists), on=ID, how="left")
    told = told.join(_purchases(credited), on=ID, how="left")
    told = told.join(_variety(lists, categories), on=ID, how="left")
    ranked = pl.col("source").is_in(RANKED)
    return told.with_columns(
        pl.col("clicked", "bought", "paid", "gain", "first", "unlike", "pairs").fill_null(0.0),
        one=pl.lit(1.0),
        clicks=pl.when(ranked).then(pl.col("clicks").fill_null(0.0)).otherwise(0.0),
        predicted=pl.when(ranked).then(pl.col("scores").list.sum().cast(pl.Float64)).otherwise(0.0),
    )


def _clicks(credited: pl.DataFrame, lists: pl.DataFrame) -> pl.DataFrame:
    place = (pl.col("position") - pl.col("after")).alias("place")
    clicks = credited.filter(type="click").join(lists.select(ID, "after"), on=ID)
    items = clicks.sort("at_ms").group_by(ID, "item_id", maintain_order=True).agg(place.first())
    gain = (1.0 / (pl.col("place") + 2).log(2)).sum()
    found = items.group_by(ID, maintain_order=True).agg(
        gain.alias("dcg"), pl.len().alias("count"), (pl.col("place").first() == 0).alias("first")
    )
    best = np.append(0.0, np.cumsum(1.0 / np.log2(np.arange(_MOST_PLACES) + 2)))
    count = np.minimum(found["count"].to_numpy(), _MOST_PLACES)
    return found.select(
        ID,
        pl.lit(1.0).alias("clicked"),
        pl.col("first").cast(pl.Float64),
        pl.col("count").cast(pl.Float64).alias("clicks"),
        gain=pl.col("dcg") / pl.Series("best", best[count], pl.Float64),
    )


def _purchases(credited: pl.DataFrame) -> pl.DataFrame:
    bought = credited.filter(type="purchase").group_by(ID)
    return bought.agg(pl.lit(1.0).alias("bought"), pl.col("value").sum().alias("paid"))


def _variety(lists: pl.DataFrame, categories: pl.DataFrame) -> pl.DataFrame:
    """Return the share of pairs of two categories; an item without one is like no other."""
    shown = lists.select(ID, item_id="items").explode("item_id").drop_nulls()
    kinds = shown.join(categories, on="item_id", how="left")
    kinds = kinds.with_columns(pl.coalesce("category", "item_id"))
    alike = kinds.group_by(ID, "category").agg(pl.len().cast(pl.Float64).alias("count"))
    count = pl.col("count")
    total = count.sum()
    told = alike.group_by(ID).agg(
        total.alias("items"),
        unlike=1.0 - (count * (count - 1.0)).sum() / (total * (total - 1.0)),
    )
    return told.filter(pl.col("items") > 1).select(ID, "unlike", pairs=pl.lit(1.0))
