"""What was normal when a model was made, for those who watch for drift: quantiles, JSON-able."""

from typing import Any

import numpy as np
import numpy.typing as npt

from features.declared import FEATURE_NAMES
from features.eventlog import NO_RECORDS, EventLog
from features.point_in_time import known_at
from models.metrics import K
from models.model import Model
from models.parts import Floats, Parts
from models.request import RankRequest
from models.window import moment_at

SHOPPERS = 2_000
"""Most shoppers looked at, evenly from all of them."""

STEPS = np.linspace(0, 1, 21)
"""Twentieths: both ends are the smallest and the largest value seen."""


def reference_profile(parts: Parts, log: EventLog, at_ms: int) -> dict[str, Any]:
    """Return quantiles over shoppers as known at a moment.

    `features` of each feature of theirs, `scores` of the scores that `parts` would show in their
    ten best (empty where they rank for nobody), `steps` the shares that the quantiles are of.
    """
    users = np.unique(np.linspace(0, max(len(log.user_ids) - 1, 0), SHOPPERS).astype(int))
    users = users[: len(log.user_ids)]
    moments = [moment_at(log, user, at_ms) for user in users.tolist()]
    known = known_at(log, users, moments)
    model = Model(parts)
    requests = [
        RankRequest(log.user_ids[users[pair]], known.of(pair), NO_RECORDS, moment, K)
        for pair, moment in enumerate(moments)
    ]
    return {
        "shoppers": len(users),
        "steps": STEPS.round(6).tolist(),
        "features": _quantiles_of(known.vectors().values) if len(users) else {},
        "scores": _quantiles(_scores(model, requests)),
    }


def _scores(model: Model, requests: list[RankRequest]) -> npt.NDArray[np.float64]:
    listed = [each.listed for each in model.rank(model.batch(requests)) if each.listed]
    return np.array([score for each in listed for score in each.scores])


def _quantiles_of(vectors: Floats) -> dict[str, list[float]]:
    return {name: _quantiles(vectors[:, column]) for column, name in enumerate(FEATURE_NAMES)}


def _quantiles(values: npt.NDArray[np.floating[Any]]) -> list[float]:
    if not len(values):
        return []
    return [round(float(each), 6) for each in np.quantile(values, STEPS)]
