"""A recommendation: the answer as a value, whichever rung of the ladder gave it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson

from models.used import UsedRow
from monitoring.labels import Page, Reason, Source
from server.new_id import new_id

DEGRADED = frozenset(Reason) - {Reason.UNKNOWN_USER}
"""Reasons that mean something was late, broken or too much; a stranger is none of these."""


class Answer(NamedTuple):
    """What is shown: `items` as `Pages` wrote them, `segment` a name or None."""

    items: bytes
    source: Source
    model_version: str
    segment: str | None = None
    reason: Reason | None = None
    page: Page = Page.OTHER
    propensities: Sequence[float] = ()
    """How probable each item was at its place; empty where nothing was left to chance."""

    recommendation_id: str = ""
    """What its features are logged under; empty where it was not ranked for this request."""

    used: UsedRow | None = None
    """What its ranker was told of the shopper; None where it was not ranked by one now."""

    @property
    def is_empty(self) -> bool:
        """Tell whether there was nothing to show."""
        return self.items.startswith(b"[]")


def encode_answer(answer: Answer, user_id: str, latency_s: float) -> bytes:
    """Return the JSON body; every answer has a `recommendation_id` of its own, cached or not."""
    told_id = answer.recommendation_id or new_id()
    return b'{"recommendation_id":"%b","user_id":%b,"items":%b,%b,"latency_ms":%.3f}' % (
        told_id.encode(),
        orjson.dumps(user_id),
        answer.items,
        _told(answer.source, answer.reason, answer.model_version, answer.segment),
        latency_s * 1_000,
    )


@lru_cache(1_024)
def _told(source: Source, reason: Reason | None, model_version: str, segment: str | None) -> bytes:
    """Return the fields that many answers have alike."""
    told = {
        "source": source,
        "degraded": reason in DEGRADED,
        "reason": reason,
        "model_version": model_version,
        "segment": segment,
        "experiment": None,
    }
    return orjson.dumps(told)[1:-1]
