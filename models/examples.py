"""What the ranker learns from: the candidates of a split's shoppers, and whether they wanted them.

split.past   ─ fit ─ Model.ranker_inputs ─ features       as serving would have seen them
split.wanted ──────────────────────────── labels
exposures ─────────────────────────────── shown           after the cut, as far as that is known
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from features.declared import FEATURES
from features.feature import OnDemand
from models.arrays import Array
from models.exposures import UNKNOWN, Exposures
from models.model import Model
from models.parts import Floats, Rows
from models.ranker_features import RANKER_FEATURES
from models.replay import requests_of
from models.split import Split

_OF_THE_REQUEST = [
    len(RANKER_FEATURES) - len(FEATURES) + column
    for column, feature in enumerate(FEATURES)
    if isinstance(feature, OnDemand)
]
"""Columns that the request itself tells. All shoppers of a split are asked for at its cut, so
to trees these would say which split it is, not what the hour means: they stay 0."""


_NO_FEATURES: Floats = np.empty((0, len(RANKER_FEATURES)), np.float32)

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Examples:
    """Candidates, one shopper's after another's.

    `features` float32[n, ranker features], `labels` float32[n] (1 for wanted), `sizes` int64[m]
    candidates of each shopper, `shown` bool[n] whether the shopper is known to have seen it.
    """

    features: Floats
    labels: Floats
    sizes: Rows
    shown: Bools

    def arrays(self) -> Mapping[str, Array]:
        """Return the arrays that these are made of, by name."""
        return {
            "features": self.features,
            "labels": self.labels,
            "sizes": self.sizes,
            "shown": self.shown,
        }

    @classmethod
    def joined(cls, several: Sequence["Examples"]) -> Self:
        """Return the candidates of several splits, one's after another's."""
        told = [each.arrays() for each in (_joined([], [], []), *several)]
        return cls(**{name: np.concatenate([each[name] for each in told]) for name in told[0]})

    def first(self, shoppers: int) -> "Examples":
        """Return the candidates of the first `shoppers` shoppers only."""
        sizes = self.sizes[:shoppers]
        there = slice(sizes.sum())
        return Examples(self.features[there], self.labels[there], sizes, self.shown[there])

    def shown_only(self) -> "Examples":
        """Return the candidates that were shown, where some were wanted and some were not."""
        by = np.repeat(np.arange(len(self.sizes)), self.sizes)
        seen = np.bincount(by[self.shown], minlength=len(self.sizes))
        wanted = np.bincount(by[self.shown & (self.labels > 0)], minlength=len(self.sizes))
        tells = (wanted > 0) & (wanted < seen)
        there = self.shown & tells[by]
        return Examples(self.features[there], self.labels[there], seen[tells], self.shown[there])

    def by_shopper(self, values: Floats) -> list[Floats]:
        """Return a column of n values as one array for each shopper."""
        return np.split(values, np.cumsum(self.sizes)[:-1]) if len(self.sizes) else []


def examples_of(model: Model, split: Split, exposures: Exposures = UNKNOWN) -> Examples:
    """Return the candidates of those shoppers who wanted at least one of them.

    `model` was made from the split's past, `exposures` are of the time it looks on. What nobody
    had met is left out: it was not on sale yet, as a rule, and that nobody wanted it then says
    nothing of new items.
    """
    asked = zip(split.users.tolist(), split.wanted, strict=True)
    is_met = split.known.met() > 0
    features, labels, shown = [], [], []
    for batch in requests_of(split):
        for told in model.ranker_inputs(model.batch(batch)):
            user, want = next(asked)
            if told is None:
                continue
            there = is_met[told[0]]
            rows = told[0][there]
            label = np.isin(rows, want)
            if label.any():
                features.append(told[1][there])
                labels.append(label.astype(np.float32))
                shown.append(np.isin(rows, exposures.of(user)))
    return _joined(features, labels, shown)


def _joined(features: list[Floats], labels: list[Floats], shown: list[Bools]) -> Examples:
    matrix = np.concatenate([_NO_FEATURES, *features])
    matrix[:, _OF_THE_REQUEST] = 0
    return Examples(
        matrix,
        np.concatenate([_NO_FEATURES[:, 0], *labels]),
        np.array([len(each) for each in labels], np.int64),
        np.concatenate([np.empty(0, np.bool_), *shown]),
    )
