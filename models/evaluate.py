"""How good a model is on its shoppers' future, beside what costs nothing.

What is judged is what serves: the exported graphs, run by `Model.rank` over what the online
store would have held just before the cut.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from models.bootstrap import intervals
from models.metrics import (
    Quality,
    best_new,
    difference,
    is_above_chance,
    mean_and_error,
    quality,
)
from models.model import Model
from models.parts import Parts, Rows
from models.popularity import ALL_TIME_DAYS, RECENT_DAYS, popularity
from models.replay import popular_lists, ranked_lists, segments_of
from models.segment_table import GLOBAL_NAME
from models.split import Split

MODEL = "model"
CANDIDATES = "candidates"
SEGMENT = "segment_popularity"
RECENT = "recent_popularity"
POPULARITY = "popularity"

UNSEGMENTED = "unsegmented"
"""How many of the shoppers are in no segment."""

LEAST_OF_A_SEGMENT = 20
MOST_SEGMENTS = 20
"""The largest are told of, where so many shoppers are judged."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Quality by name; `model` is what would serve. `segments` has that of each shopper."""

    by_name: Mapping[str, Quality]
    segments: tuple[str, ...] = field(default=())

    @property
    def beats_segments(self) -> bool:
        """Tell whether the model is better than what costs nothing, by more than chance."""
        return is_above_chance(self.by_name[MODEL].by_user - self.by_name[SEGMENT].by_user)

    def told(self) -> dict[str, Any]:
        """Return all figures with their intervals, and what the model gains over the others."""
        within = intervals(self.by_name)
        gains = {
            name: difference(self.by_name[MODEL], other)
            for name, other in self.by_name.items()
            if name != MODEL
        }
        return {
            **{
                name: {**each.told(), **_bounds(within[name])}
                for name, each in self.by_name.items()
            },
            "gain": {
                name: {"ndcg@10": round(gain, 5), "se": round(error, 5)}
                for name, (gain, error) in gains.items()
            },
            "beats_segments": self.beats_segments,
            UNSEGMENTED: self.segments.count(GLOBAL_NAME),
        }

    def by_segment(self) -> dict[str, Any]:
        """Return NDCG@10 and its standard error in each large segment, the largest first."""
        of_each = np.array(self.segments)
        told: dict[str, Any] = {}
        for name, users in Counter(self.segments).most_common(MOST_SEGMENTS):
            if users >= LEAST_OF_A_SEGMENT:
                lists = {
                    each: mean_and_error(one.by_user[of_each == name])
                    for each, one in self.by_name.items()
                }
                told[name] = {"users": users, **{each: _ndcg(*of) for each, of in lists.items()}}
        return told


def _bounds(within: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    lows = {f"{figure}_low": low for figure, (low, _) in within.items()}
    return lows | {f"{figure}_high": high for figure, (_, high) in within.items()}


def _ndcg(mean: float, error: float) -> dict[str, float]:
    return {"ndcg@10": round(mean, 5), "ndcg@10_se": round(error, 5)}


def evaluate(parts: Parts, split: Split, others: Mapping[str, list[Rows]] | None = None) -> Figures:
    """Return the figures of `parts`, which were made from the split's past.

    `others` are further lists for its shoppers, by name, to stand beside.
    """
    return evaluate_all([(parts, split)], split.known.met(), others)


def evaluate_all(
    pieces: Iterable[tuple[Parts, Split]],
    met: Rows,
    others: Mapping[str, list[Rows]] | None = None,
) -> Figures:
    """Return the figures of the shoppers of several splits, one after the other.

    Each piece is a split, with parts that were made from its past; `met` int64[items] tells how
    many shoppers had met each item.
    """
    lists: dict[str, list[Rows]] = {name: list(each) for name, each in (others or {}).items()}
    wanted: list[Rows] = []
    segments: list[str] = []
    for parts, split in pieces:
        model = Model(parts)
        for name, each in _lists(model, parts, split).items():
            lists.setdefault(name, []).extend(each)
        wanted += split.wanted
        segments += segments_of(model, split)
    return Figures(
        {name: quality(each, wanted, met) for name, each in lists.items()}, tuple(segments)
    )


def _lists(model: Model, parts: Parts, split: Split) -> dict[str, list[Rows]]:
    """Return the rows that each shopper would have been shown, by who shows them."""
    lists = {
        POPULARITY: _everybody(split, ALL_TIME_DAYS),
        RECENT: _everybody(split, RECENT_DAYS),
        SEGMENT: popular_lists(model, split),
    }
    if parts.personal is not None and parts.personal.ranker is not None:
        alone = replace(parts, personal=replace(parts.personal, ranker=None))
        lists[CANDIDATES] = ranked_lists(Model(alone), split)
    lists[MODEL] = ranked_lists(model, split)
    if CANDIDATES not in lists and parts.personal is not None:
        lists[CANDIDATES] = lists[MODEL]
    return lists


def _everybody(split: Split, half_life_days: float) -> list[Rows]:
    table = popularity(split.known, split.cut_ms, half_life_days)[None]
    return best_new(table, np.zeros(len(split), np.int64), split.blocked)
