"""A list that was served, as a line of its log: the answer as it was sent, and what else is known.

    {"recommendation_id", "user_id", "items": [{"item_id", "score", "reason", …}, …], "source", …,
     "at_ms", "page", "variant", "after", "propensities", "features", "features_schema", "as_of_ms"}

`after` counts the items that earlier pages of the list showed; `propensities` is null where nothing
was left to chance, and `variant` where no model was on trial. `features` are those that the ranker
was told, in the order declared, null for what was missing; `features_schema` is the hash of the
declarations, and `as_of_ms` the moment they were computed for. All three are null where none were
used, and not there in lines of before they were kept.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

LATEST_MS = 253_402_300_799_999
"""The last moment of the year 9999: dates end there."""


class UsedFeatures(NamedTuple):
    """What a ranker was told of the shopper, by the names that the line has for it.

    `features` is float32[features] in the order declared, NaN for what was missing.
    """

    features: npt.NDArray[np.float32]
    features_schema: str
    as_of_ms: int


class Noted(NamedTuple):
    """What the answer does not say; `at_ms` is when it was written, by the server's clock."""

    at_ms: int
    page: str
    variant: str | None = None
    after: int = 0
    propensities: Sequence[float] = ()
    used: UsedFeatures | None = None


def encode(body: bytes, noted: Noted) -> bytes:
    """Return the line of an answer, a JSON object of one field at least, with its end.

    Numbers of float32 have the fewest digits that tell them apart.
    """
    at_ms, page, variant, after, propensities, used = noted
    chances = orjson.dumps(list(propensities)) if propensities else b"null"
    told = _NONE_USED if used is None else _used_fields(*used)
    return _FIELDS % (body[:-1], at_ms, _labels(page, variant), after, chances, told)


_FIELDS = b'%b,"at_ms":%d,%b,"after":%d,"propensities":%b,%b}\n'
_NONE_USED = b'"features":null,"features_schema":null,"as_of_ms":null'


def _used_fields(features: npt.NDArray[np.float32], schema: str, as_of_ms: int) -> bytes:
    values = orjson.dumps(features, option=orjson.OPT_SERIALIZE_NUMPY)
    return b'"features":%b,%b,"as_of_ms":%b' % (values, _schema(schema), orjson.dumps(as_of_ms))


@lru_cache(256)
def _schema(schema: str) -> bytes:
    return orjson.dumps({"features_schema": schema})[1:-1]


@lru_cache(256)
def _labels(page: str, variant: str | None) -> bytes:
    return orjson.dumps({"page": page, "variant": variant})[1:-1]


def parse(line: bytes) -> dict[str, Any] | None:
    """Return the row of table `served` that a line tells, None where it is none.

    That is the end of a process that was killed, or of a disk that was full.
    """
    try:
        told: dict[str, Any] = orjson.loads(line)
        items = told["items"]
        propensities, at_ms = told["propensities"], int(told["at_ms"])
        if propensities is not None and len(propensities) != len(items):
            return None
        return {
            "recommendation_id": _text(told["recommendation_id"]),
            "user_id": _text(told["user_id"]),
            "served_at": at_ms * 1_000,
            "day": datetime.fromtimestamp(at_ms // 1_000, UTC).date(),
            "page": _text(told["page"]),
            "model_version": _text(told["model_version"]),
            "variant": told["variant"],
            "source": _text(told["source"]),
            "reason": told["reason"],
            "segment": told["segment"],
            "after": int(told["after"]),
            "items": [_text(each["item_id"]) for each in items],
            "scores": [_number(each["score"]) for each in items],
            "reasons": [_text(each["reason"]) for each in items],
            "propensities": propensities,
            **_used(told),
        }
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return None


def _used(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of the features that were used; raise `ValueError` for half of them."""
    used: list[Any] = [told.get(name) for name in UsedFeatures._fields]
    features, schema, as_of_ms = used
    if used == [None, None, None]:
        return {"features": None, "features_schema": None, "as_of": None}
    if not isinstance(features, list) or not 0 <= int(as_of_ms) <= LATEST_MS:
        raise ValueError
    return {
        "features": [_number(each) for each in features],
        "features_schema": _text(schema),
        "as_of": int(as_of_ms) * 1_000,
    }


def whose(line: bytes) -> tuple[str, int] | None:
    """Return the shopper of a line and when it was served, in milliseconds; None as in `parse`."""
    try:
        told = orjson.loads(line)
        return _text(told["user_id"]), int(told["at_ms"])
    except (ValueError, KeyError, TypeError):
        return None


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return raw


def _number(raw: object) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise TypeError
    return float(raw)
