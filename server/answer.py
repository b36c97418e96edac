"""A recommendation: the answer as a value, whichever rung of the ladder gave it."""

from dataclasses import dataclass
from uuid import uuid4

import orjson

from monitoring.labels import Reason, Source

DEGRADED = frozenset(Reason) - {Reason.UNKNOWN_USER}
"""Reasons that mean something was late, broken or too much; a stranger is none of these."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is shown: `items` is a JSON array already, `segment` a name or None."""

    items: bytes
    source: Source
    model_version: str
    segment: str | None = None
    reason: Reason | None = None

    @property
    def degraded(self) -> bool:
        """Tell whether the shopper deserved better."""
        return self.reason in DEGRADED


def encode_answer(answer: Answer, user_id: str, latency_s: float) -> bytes:
    """Return the JSON body; every answer has a `recommendation_id` of its own, cached or not."""
    return orjson.dumps(
        {
            "recommendation_id": uuid4().hex,
            "user_id": user_id,
            "items": orjson.Fragment(answer.items),
            "source": answer.source,
            "degraded": answer.degraded,
            "reason": answer.reason,
            "model_version": answer.model_version,
            "segment": answer.segment,
            "next_cursor": None,
            "experiment": None,
            "latency_ms": round(latency_s * 1_000, 3),
        }
    )
