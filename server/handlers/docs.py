"""`GET /openapi.json` and `/docs`: how to call the service, for programs and for people."""

from functools import cache
from pathlib import Path

import orjson
from aiohttp import web

from server.docs_page import docs_page
from server.response import Response

OPENAPI_PATH = Path(__file__).parents[1] / "openapi.json"


async def openapi(_: web.Request) -> Response:
    """Return the OpenAPI 3.1 document."""
    return Response(_document())


async def page(_: web.Request) -> Response:
    """Return the document as a page; it needs nothing from elsewhere."""
    return Response(_page().encode(), content_type="text/html; charset=utf-8")


@cache
def service_version() -> str:
    """Return the version of the service that the document tells."""
    version: str = orjson.loads(_document())["info"]["version"]
    return version


@cache
def _document() -> bytes:
    return OPENAPI_PATH.read_bytes()


@cache
def _page() -> str:
    return docs_page(_document())
