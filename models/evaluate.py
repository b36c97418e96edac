"""How good a model is on its shoppers' future, beside what costs nothing.

What is judged is what serves: the exported graphs, run by `Model.rank` over what the online
store would have held just before the cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.metrics import Quality, best_new, difference, quality
from models.model import Model
from models.parts import Parts, Rows
from models.popularity import RECENT_DAYS, popularity
from models.replay import popular_lists, ranked_lists
from models.window import Window

MODEL = "model"
CANDIDATES = "candidates"
SEGMENT = "segment_popularity"
RECENT = "recent_popularity"
POPULARITY = "popularity"

_NO_DECAY_DAYS = 1e6


@dataclass(frozen=True, slots=True)
class Figures:
    """Quality by name; `model` is what would serve."""

    by_name: Mapping[str, Quality]

    @property
    def beats_segments(self) -> bool:
        """Tell whether the model is better than what costs nothing, by more than chance."""
        gain, error = difference(self.by_name[MODEL], self.by_name[SEGMENT])
        return gain > 2 * error

    def told(self) -> dict[str, Any]:
        """Return all figures, and what the model gains over each of the others."""
        gains = {
            name: difference(self.by_name[MODEL], other)
            for name, other in self.by_name.items()
            if name != MODEL
        }
        return {
            **{name: each.told() for name, each in self.by_name.items()},
            "gain": {
                name: {"ndcg@10": round(gain, 5), "se": round(error, 5)}
                for name, (gain, error) in gains.items()
            },
            "beats_segments": self.beats_segments,
        }


def evaluate(parts: Parts, window: Window) -> Figures:
    """Return the figures of `parts`, which were made from the window's past."""
    model, met = Model(parts), window.known.met()
    lists = {
        POPULARITY: _everybody(window, _NO_DECAY_DAYS),
        RECENT: _everybody(window, RECENT_DAYS),
        SEGMENT: popular_lists(model, window),
    }
    if parts.personal is not None and parts.personal.ranker is not None:
        alone = replace(parts, personal=replace(parts.personal, ranker=None))
        lists[CANDIDATES] = ranked_lists(Model(alone), window)
    lists[MODEL] = ranked_lists(model, window)
    if CANDIDATES not in lists and parts.personal is not None:
        lists[CANDIDATES] = lists[MODEL]
    return Figures({name: quality(each, window.wanted, met) for name, each in lists.items()})


def _everybody(window: Window, half_life_days: float) -> list[Rows]:
    table = popularity(window.known, window.cut_ms, half_life_days)[None]
    return best_new(table, np.zeros(len(window), np.int64), window.blocked)
