"""What the ranker learns from: the candidates of a split's shoppers, and whether they wanted them.

split.past   ─ fit ─ Model.ranker_inputs ─ features       as serving would have seen them
split.wanted ──────────────────────────── labels
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from features.declared import FEATURES
from features.feature import OnDemand
from models.arrays import Array
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


@dataclass(frozen=True, slots=True)
class Examples:
    """Candidates, one shopper's after another's.

    `features` float32[n, ranker features], `labels` float32[n] (1 for wanted), `sizes` int64[m]
    candidates of each shopper.
    """

    features: Floats
    labels: Floats
    sizes: Rows

    def arrays(self) -> Mapping[str, Array]:
        """Return the arrays that these are made of, by name."""
        return {"features": self.features, "labels": self.labels, "sizes": self.sizes}

    @classmethod
    def joined(cls, several: Sequence["Examples"]) -> Self:
        """Return the candidates of several splits, one's after another's."""
        told = [each.arrays() for each in (_joined([], []), *several)]
        return cls(**{name: np.concatenate([each[name] for each in told]) for name in told[0]})

    def first(self, shoppers: int) -> "Examples":
        """Return the candidates of the first `shoppers` shoppers only."""
        sizes = self.sizes[:shoppers]
        return Examples(self.features[: sizes.sum()], self.labels[: sizes.sum()], sizes)

    def by_shopper(self, values: Floats) -> list[Floats]:
        """Return a column of n values as one array for each shopper."""
        return np.split(values, np.cumsum(self.sizes)[:-1])


def examples_of(model: Model, split: Split) -> Examples:
    """Return the candidates of those shoppers who wanted at least one of them.

    `model` was made from the split's past. What nobody had met is left out: it was not on sale yet,
    as a rule, and that nobody wanted it then says nothing of new items.
    """
    wanted, is_met = iter(split.wanted), split.known.met() > 0
    features, labels = [], []
    for batch in requests_of(split):
        for told in model.ranker_inputs(model.batch(batch)):
            want = next(wanted)
            if told is None:
                continue
            there = is_met[told[0]]
            label = np.isin(told[0][there], want)
            if label.any():
                features.append(told[1][there])
                labels.append(label.astype(np.float32))
    return _joined(features, labels)


def _joined(features: list[Floats], labels: list[Floats]) -> Examples:
    sizes = np.array([len(each) for each in labels], np.int64)
    if not labels:
        return Examples(
            np.empty((0, len(RANKER_FEATURES)), np.float32), np.empty(0, np.float32), sizes
        )
    matrix = np.concatenate(features)
    matrix[:, _OF_THE_REQUEST] = 0
    return Examples(matrix, np.concatenate(labels), sizes)
