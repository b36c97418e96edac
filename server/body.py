"""The body of a request: of a declared type, bounded size, and there in time."""

import asyncio

from aiohttp import web

from server.errors import BrokenBodyError, SlowBodyError, TooLargeError, UnsupportedTypeError
from server.response import JSON

MAX_BODY = 64 * 1024
MAX_EVENTS_BODY = 1024 * 1024
WITHIN_S = 30.0
"""Who announces a body and does not send it holds a connection, and counts as being answered."""


async def read_body(
    request: web.Request, limit: int = MAX_BODY, *, also: str | None = None
) -> bytes:
    """Return the body of at most `limit` bytes, announced as JSON, as `also`, or not at all.

    Raises `UnsupportedTypeError`, `TooLargeError` (before reading, where the size is announced),
    `SlowBodyError` where it is not there in `WITHIN_S`, or `BrokenBodyError` where the client went
    away or the encoding is not what it says.
    """
    told = request.headers.get("Content-Type", JSON)
    if told not in {JSON, also} and not _is_json(request.content_type):
        raise UnsupportedTypeError(
            f"Content-Type: expected application/json, got {request.content_type:.80}"
        )
    if (request.content_length or 0) > limit:
        raise TooLargeError(f"the body has {request.content_length} bytes, at most {limit} may be")
    try:
        if request.content.is_eof():  # it came with the head, as short ones do
            body = request.content.read_nowait()
        else:
            async with asyncio.timeout(WITHIN_S):
                body = await request.read()
    except TimeoutError:
        raise SlowBodyError(f"the body did not arrive within {WITHIN_S:g} s") from None
    except (ConnectionError, web.RequestPayloadError) as error:
        raise BrokenBodyError("the body did not arrive whole, or not as encoded") from error
    if len(body) > limit:
        raise TooLargeError(f"the body has {len(body)} bytes, at most {limit} may be")
    return body


def _is_json(content_type: str) -> bool:
    return content_type == JSON or content_type.endswith("+json")
