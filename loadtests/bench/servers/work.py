"""What peers do for a request: Cuvée's own model on what its store holds, and nothing around it.

Same shoppers, same model, same list; a peer that answered less would prove nothing. What the
service does beside it (validation, cache, metrics, log, ladder) the peers go without.
"""

from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Any

import orjson

from features.eventlog import NO_RECORDS
from features.events import Records
from features.history import HISTORY_CAP, RECENT_CAP
from features.ids import stable_hash
from features.moments import Moment
from features.online import keys
from features.online.values import decode_profile, decode_ring
from models.registry import Registry
from models.request import RankRequest

PATH = "/v1/recommendations"
MAX_BATCH = 32
VALUES = 3
"""Values of one shopper: both rings and the profile."""


class Work:
    """The model of a home, asked with what was read."""

    def __init__(self, home: Path) -> None:
        """Load the model that serves and warm it."""
        registry = Registry(home)
        self._model = registry.load(registry.production() or "")
        self._model.warm()

    def answers(self, bodies: Sequence[dict[str, object]], values: Sequence[Any]) -> list[bytes]:
        """Return the JSON for each body, from the `VALUES` values of each shopper, side by side."""
        requests = [
            _request(body, *values[VALUES * place : VALUES * (place + 1)])
            for place, body in enumerate(bodies)
        ]
        rankings = self._model.rank(self._model.batch(requests))
        return [
            _answer(request.user_id, b"[]" if listed is None else self._model.json(listed))
            for request, (listed, *_) in zip(requests, rankings, strict=True)
        ]


def keys_of(body: dict[str, object]) -> tuple[bytes, ...]:
    """Return the keys of what is to be read for the shopper of `body`."""
    return keys.read_keys(str(body["user_id"]), "")[:VALUES]


def _answer(user_id: str, items: bytes) -> bytes:
    return b'{"user_id":%b,"items":%b,"source":"model"}' % (orjson.dumps(user_id), items)


def _request(
    body: dict[str, object], recent: bytes | None, history: bytes | None, profile: bytes | None
) -> RankRequest:
    user_id = str(body["user_id"])
    owner = stable_hash(user_id)
    told = None if profile is None else decode_profile(profile, owner)
    return RankRequest(
        user_id,
        _records(recent, owner, RECENT_CAP),
        _records(history, owner, HISTORY_CAP),
        Moment(int(time() * 1_000), profile=None if told is None else told.fields),
        int(str(body.get("k", 10))),
    )


def _records(value: bytes | None, owner: int, cap: int) -> Records:
    ring = None if value is None else decode_ring(value, owner, cap)
    return NO_RECORDS if ring is None else ring.records
