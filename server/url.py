"""What a URL tells beside its route: parameters, and the ids in its path."""

from collections.abc import Mapping, Sequence
from functools import wraps

from aiohttp import web

from features.errors import FieldError
from features.events import parse_id
from server.errors import InvalidError
from server.query import parse_ids, refuse_unknown
from server.response import Handler, Response

REPEATED = frozenset({"with"})
"""Parameters that a URL may have more than once."""

_MOST_DIGITS = 6


def taking(known: tuple[str, ...], handler: Handler) -> Handler:
    """Return `handler`, for URLs without parameters but `known` ones: others are refused."""

    @wraps(handler)
    async def answer(request: web.Request) -> Response:
        if request.query_string:
            _check_parameters(request, known)
        return await handler(request)

    return answer


def _check_parameters(request: web.Request, known: tuple[str, ...]) -> None:
    try:
        refuse_unknown(request.query, "", known)
        _refuse_repeated(request, known)
    except FieldError as error:
        raise InvalidError.of(error) from None


def _refuse_repeated(request: web.Request, known: tuple[str, ...]) -> None:
    for name in known:
        count = len(request.query.getall(name, ()))
        if count > 1 and name not in REPEATED:
            raise FieldError(name, f"expected it once, got it {count} times")


def parse_count(told: Mapping[str, str], field: str, default: int, most: int) -> int:
    """Return the query parameter `field` of a URL, an integer from 1 to `most`.

    Raises `InvalidError`.
    """
    raw = told.get(field, str(default))
    if not (raw.isascii() and raw.isdigit() and len(raw) <= _MOST_DIGITS and 1 <= int(raw) <= most):
        message = f"expected an integer from 1 to {most}, got {raw!r:.40}"
        raise InvalidError(f"{field}: {message}", [(field, message)])
    return int(raw)


def parse_query_ids(told: Sequence[str], field: str, most: int) -> tuple[str, ...]:
    """Return the ids of a parameter that a URL may repeat; raise `InvalidError`."""
    try:
        return parse_ids(list(told), field, most)
    except FieldError as error:
        raise InvalidError.of(error) from None


def parse_path_id(request_path: Mapping[str, str], field: str) -> str:
    """Return the id that the path names; raise `InvalidError` where it can be none."""
    try:
        return parse_id(request_path[field], field)
    except FieldError as error:
        raise InvalidError.of(error) from None
