"""`POST /v1/events`: what shoppers did, kept before it is acknowledged."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable

import orjson
from aiohttp import web

from features.errors import FieldError, StoreError, StoreFullError
from features.events import Event
from features.history import HIDING_TYPES
from features.ids import stable_hash
from monitoring.labels import ErrorKind
from server import keys
from server.body import MAX_EVENTS_BODY, read_body
from server.errors import InvalidError, UnavailableError
from server.event_batch import parse_events
from server.last_known import LastKnown
from server.response import Response

log = logging.getLogger(__name__)

APPEND_TIMEOUT_S = 2.0
"""How long a post waits for the store. The events may be kept all the same, or sent again."""


async def append(request: web.Request) -> Response:
    """Keep the events, make them visible to the next answer, and acknowledge."""
    events = parse_events(await read_body(request, MAX_EVENTS_BODY))
    metrics = request.app[keys.METRICS]
    _hide(request.app[keys.LAST_KNOWN], events)
    try:
        async with asyncio.timeout(APPEND_TIMEOUT_S):
            appended = await request.app[keys.STORE].append(events)
    except FieldError as error:
        raise InvalidError.of(error) from None
    except (StoreError, TimeoutError) as error:
        full = isinstance(error, StoreFullError)
        metrics.error(ErrorKind.STORE_FULL if full else ErrorKind.EVENT_LOG)
        log.warning("events refused: %s", str(error) or "the store is late")
        raise UnavailableError("events cannot be kept now, send them again", 1) from None
    metrics.events(appended.accepted, appended.duplicates)
    if (trial := request.app[keys.MODELS].trial) is not None:
        trial.count_clicks(events)
    return Response(orjson.dumps(appended), 202)


def _hide(last_known: LastKnown, events: Iterable[Event]) -> None:
    """Keep from shoppers what they bought, rated, refused or put in, whatever the store does."""
    hidden = defaultdict[str, list[int]](list)
    for each in events:
        if each.type in HIDING_TYPES and each.item_id is not None:
            hidden[each.user_id].append(stable_hash(each.item_id))
    for user_id, items in hidden.items():
        last_known.hide(user_id, items)
