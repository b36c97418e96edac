"""What the service says of itself when it is up: where it is, and the one request to try."""

import asyncio
from shlex import quote

import orjson
from aiohttp import web

from features.errors import StoreError
from features.online.store import ShopperQuery
from server import keys
from server.settings import Settings, Switch

STRANGER = "guest"

_PATIENCE_S = 1.0
_STRANGERS = """
The online store does not know this shopper, nor perhaps anybody else: all get what is popular.
What the tables know of shoppers is brought there by python -m features materialize
"""
_AWAY = """
The online store does not answer: until it does all get what is popular, and events are refused.
Where it is stands in CUVEE_REDIS_URL
"""


async def announcement(settings: Settings, app: web.Application) -> str:
    """Return the lines to print."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    models = app[keys.MODELS]
    model = models.model
    if model is None:
        home = settings.home
        return f"Cuvée is up on {url} with CUVEE_HOME={home}, and has {models.why_none}"
    page = "" if settings.ui is Switch.OFF else f"look at {url}/ui, "
    told = orjson.dumps({"user_id": model.example_user or STRANGER, "k": 3}).decode()
    serves = f"serves model {model.version} on {url}"
    if not model.is_whole:
        serves = (
            f"is up on {url} with the popular items of model {model.version}, which cannot rank"
        )
    warning = await _warning(app, model.example_user) if model.example_user else ""
    return (
        f"Cuvée {serves} ({page}try {url}/docs). "
        "Ask it for a list:\n\n"
        f"curl -s {url}/v1/recommendations "
        f"-H 'Content-Type: application/json' -d {quote(told)}\n{warning}"
    )


async def _warning(app: web.Application, user_id: str) -> str:
    """Return what is to be said of the online store: nothing where it knows the shopper."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            (read,) = await app[keys.STORE].read([ShopperQuery(user_id, "")])
    except (StoreError, TimeoutError):
        return _AWAY
    return "" if read.state.known else _STRANGERS
