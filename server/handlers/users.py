"""`GET` and `DELETE /v1/users/{id}`: what is known of a shopper, and forgetting it (admin).

`POST /v1/users/{id}/merge`: who they are has been said, what they did before is theirs.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import orjson
from aiohttp import web

from features import anonymous
from features.computation.slices import Slices
from features.computation.vector import feature_vectors
from features.declared import FEATURE_NAMES
from features.errors import StoreError
from features.events import TYPE_CODES, VALUE_SCALE, Records, type_codes
from features.history import merge_rings
from features.moments import Moment, Moments
from features.online.store import OnlineStore, ShopperQuery, ShopperState
from models.model import Model
from models.request import RankRequest
from server import keys
from server.admin import admin
from server.body import read_body
from server.errors import InvalidError, UnavailableError
from server.query import parse_merge
from server.response import Response
from server.url import parse_path_id

log = logging.getLogger(__name__)

STORE_TIMEOUT_S = 2.0
_TYPE_NAMES = {code: kind.value for kind, code in TYPE_CODES.items()}


@admin
async def show(request: web.Request) -> Response:
    """Return profile, events and features of the shopper, as an answer would see them now."""
    user_id = parse_path_id(request.match_info, "user_id")
    async with _reachable():
        (read,) = await request.app[keys.STORE].read([ShopperQuery(user_id, "")])
    told = _told(user_id, read.state, request.app[keys.MODELS].model)
    return Response(orjson.dumps(told))


@admin
async def forget(request: web.Request) -> Response:
    """Remove the shopper online at once, and offline as soon as the event log is read.

    Once the tombstone is in the stream its consumers do all of the rest, should this process die.
    """
    user_id = parse_path_id(request.match_info, "user_id")
    async with _reachable():
        until_ms = await request.app[keys.STORE].forget(user_id)
    try:
        await request.app[keys.FORGETTING].add(user_id, until_ms)
    except StoreError as error:
        log.error("who was forgotten cannot be noted: %s", error)  # noqa: TRY400
        raise UnavailableError("the forgetting cannot be noted on the disk") from None
    return Response(status=204)


async def merge(request: web.Request) -> Response:
    """Make the history of a session, or of an anonymous shopper, that of the shopper."""
    user_id = parse_path_id(request.match_info, "user_id")
    source = parse_merge(await read_body(request), user_id)
    store, last_known = request.app[keys.STORE], request.app[keys.LAST_KNOWN]
    try:
        async with _reachable():
            await _check_named(store, source)
            events = await store.merge(source, user_id)
    finally:  # whatever the store did
        last_known.share(source, user_id)
    last_known.forget(source)
    return Response(orjson.dumps({"user_id": user_id, "from": source, "events": events}))


async def _check_named(store: OnlineStore, source: str) -> None:
    """Refuse the id of a session where that of the shopper that it is was meant."""
    if len(source) > anonymous.LONGEST or anonymous.is_session(source):
        return
    session = anonymous.shopper_of(source)
    (read,) = await store.read([ShopperQuery(source, "", session)])
    if read.instead is not None:
        message = f"nothing is known of {source!r:.80}: for the session of that id say {session!r}"
        raise InvalidError(f"from: {message}", [("from", message)])


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            yield
    except (StoreError, TimeoutError):
        raise UnavailableError("the online store does not answer") from None


def _told(user_id: str, state: ShopperState, model: Model | None) -> dict[str, Any]:
    records, _ = merge_rings([(state.recent, state.history)])
    moment = Moment(int(time.time() * 1_000), None, None, state.profile)
    return {
        "user_id": user_id,
        "known": state.known,
        "revision": state.revision.hex() or None,
        "profile": dict(state.profile),
        "segment": model and _segment(user_id, state, model),
        "as_of": moment.as_of_ms / 1_000,
        "features": _features(records, moment),
        "events": _events(records, model),
    }


def _segment(user_id: str, state: ShopperState, model: Model) -> str:
    moment = Moment(0, profile=state.profile)
    request = RankRequest(user_id, state.recent, state.history, moment, 1)
    return model.segment_names[int(model.batch([request]).segments[0])]


def _features(records: Records, moment: Moment) -> dict[str, float | None]:
    slices = Slices.whole(np.zeros(1, np.int64), np.full(1, len(records)))
    told = feature_vectors(records, slices, Moments.of([moment]))
    values = zip(FEATURE_NAMES, told.values[0].tolist(), told.missing[0].tolist(), strict=True)
    return {name: None if missing else value for name, value, missing in values}


def _events(records: Records, model: Model | None) -> list[dict[str, Any]]:
    """Return the events, latest first; an item that the model does not know has no name."""
    known = model.indices_of(records["item"]).tolist() if model else [-1] * len(records)
    columns = zip(
        known,
        type_codes(records).tolist(),
        records["ts"].tolist(),
        records["value"].tolist(),
        strict=True,
    )
    return [
        {
            "type": _TYPE_NAMES.get(code),
            "item_id": model.item_id(index) if model and index >= 0 else None,
            "timestamp": ts / 1_000,
            "value": value / VALUE_SCALE,
        }
        for index, code, ts, value in columns
    ][::-1]
