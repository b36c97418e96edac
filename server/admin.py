"""Who may call the admin routes: the bearer of `CUVEE_ADMIN_TOKEN`."""

from functools import wraps
from hmac import compare_digest

from aiohttp import web

from server import keys
from server.errors import ForbiddenError, UnauthorizedError
from server.response import Handler, Response

_SCHEME = "Bearer "


def admin(handler: Handler) -> Handler:
    """Let only the bearer of the token through; raise as `check_admin`."""

    @wraps(handler)
    async def guarded(request: web.Request) -> Response:
        check_admin(request)
        return await handler(request)

    return guarded


def check_admin(request: web.Request) -> None:
    """Raise where the request does not bear the token.

    `ForbiddenError` for a wrong token or where there is none to bear, `UnauthorizedError` for no
    token.
    """
    token = request.app[keys.SETTINGS].admin_token
    if token is None:
        raise ForbiddenError("admin routes are off: CUVEE_ADMIN_TOKEN is unset")
    told = request.headers.get("Authorization", "")
    if not told.startswith(_SCHEME):
        raise UnauthorizedError("expected Authorization: Bearer TOKEN")
    if not compare_digest(_bytes(told[len(_SCHEME) :]), _bytes(token)):
        raise ForbiddenError("this is not the admin token")


def _bytes(header: str) -> bytes:
    return header.encode("utf-8", "surrogateescape")
