"""The files of the page, as they are sent: nothing else can be asked for, nothing runs inline."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from server.response import Response

DIRECTORY: Final = Path(__file__).parent / "page"
INDEX: Final = "index.html"

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",  # no text ever becomes markup, where browsers know this
)

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

DATA_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page_file(name: str) -> Response | None:
    """Return a file of the page, None where it has none of that name."""
    told = _files().get(name)
    if told is None:
        return None
    content, content_type = told
    return Response(content, content_type=content_type, headers=PAGE_HEADERS)


@cache
def _files() -> Mapping[str, tuple[bytes, str]]:
    """Return content and type of each file."""
    paths = (path for path in DIRECTORY.iterdir() if path.suffix in _TYPES)
    return {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in paths}
