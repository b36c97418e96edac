"""What the past before the last cut decides: what candidates come of, tastes, and newcomers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from features.catalogue import Catalogue
from models.gram import Gram, gram_of
from models.metrics import Quality, best_new, is_above_chance, quality
from models.newcomers import Newcomers, Trials
from models.segments import (
    PRIOR,
    Attribute,
    Crowds,
    attributes_of,
    markets_of,
    measure_priors,
    measure_tastes,
)
from models.split import Split
from models.towers import DENSE_LIMIT, Method, faded, fit_towers

REGULARISATION = 10.0
"""λ where there is too little to choose it by."""

REGULARISATIONS = (3.0, 10.0, 30.0)

ALS_LIMIT = 2_000_000
"""Most pairs of which ALS is measured: its time grows with them, that of the others hardly does."""

_CHUNK = 1_024


@dataclass(frozen=True, slots=True)
class Choices:
    """What was decided, and the NDCG@10 by which it was."""

    regularisation: float = REGULARISATION
    method: Method = Method.EASE
    taste: Attribute | None = None
    prior: float = PRIOR
    affinities: tuple[Attribute, ...] = ()
    crowds: Crowds = field(default_factory=Crowds)
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return all of it, JSON-able."""
        return {
            "candidates": self.method.value,
            "regularisation": self.regularisation,
            "taste": self.taste.title if self.taste else None,
            "prior": self.prior,
            "affinities": [each.title for each in self.affinities],
            "half_life_days": self.crowds.half_life_days,
            "firsts": self.crowds.firsts,
            "market_prior": self.crowds.market_prior,
            "validation": {
                name: {key: round(value, 5) for key, value in each.items()}
                for name, each in self.measured.items()
            },
        }


def choose(
    catalogue: Catalogue,
    split: Split,
    gram: Gram = gram_of,
    newcomers: Sequence[Newcomers] = (),
) -> Choices:
    """Return what tells best what the shoppers of a validation split, and newcomers, wanted."""
    markets, _ = markets_of(split.past)
    trials = Trials(newcomers, markets)
    taste, by_attribute = measure_tastes(catalogue, split)
    by_prior = measure_priors(taste, split)
    tried = _regularisations(catalogue)
    first, *others = _methods(catalogue, len(split.known))
    by_regularisation = {each: _quality(split, each, gram, first) for each in tried}
    regularisation = max(tried, key=lambda each: by_regularisation[each].ndcg)
    by_method = {first: by_regularisation[regularisation]}
    by_method |= {each: _quality(split, regularisation, gram, each) for each in others}
    return Choices(
        regularisation=regularisation,
        method=_best(by_method),
        taste=taste,
        prior=max(by_prior, key=by_prior.__getitem__, default=PRIOR),
        affinities=tuple(
            sorted(attributes_of(catalogue), key=lambda each: -by_attribute[each.title])
        ),
        crowds=trials.best(len(newcomers)),
        measured={
            "ndcg@10_by_taste": by_attribute,
            "ndcg@10_by_prior": {f"{k:g}": v for k, v in by_prior.items()},
            "ndcg@10_by_regularisation": {f"{k:g}": v.ndcg for k, v in by_regularisation.items()},
            "ndcg@10_by_candidates": {k.value: v.ndcg for k, v in by_method.items()},
            **trials.told(),
        },
    )


def _regularisations(catalogue: Catalogue) -> tuple[float, ...]:
    return REGULARISATIONS if len(catalogue) <= DENSE_LIMIT else (REGULARISATION,)


def usual(catalogue: Catalogue) -> Choices:
    """Return what is chosen where too few can be asked."""
    return Choices(method=_methods(catalogue, 0)[0])


def _methods(catalogue: Catalogue, pairs: int) -> tuple[Method, ...]:
    """Return what towers may be made of, the usual first."""
    large = len(catalogue) > DENSE_LIMIT
    fitting = (Method.FACTORS, Method.ALS) if large else Method
    return tuple(each for each in fitting if each is not Method.ALS or pairs <= ALS_LIMIT)


def _best(measured: Mapping[Method, Quality]) -> Method:
    """Return the best of those that are better than the first by more than chance, or the first."""
    first, *others = measured
    better = [
        each for each in others if is_above_chance(measured[each].by_user - measured[first].by_user)
    ]
    return max(better, key=lambda each: measured[each].ndcg, default=first)


def _quality(split: Split, regularisation: float, gram: Gram, method: Method) -> Quality:
    """Return how good the candidates alone are."""
    matrix = split.known.matrix()
    towers = fit_towers(faded(split.known, split.cut_ms), regularisation, gram, method)
    lists = []
    for start in range(0, len(split), _CHUNK):
        part = slice(start, start + _CHUNK)
        scores = towers.scores(matrix[split.users[part]])
        lists += best_new(scores, np.arange(len(scores)), split.blocked[part])
    return quality(lists, split.wanted, split.known.met())
