"""What the service says of itself when it is up: where it is, and the one request to try."""

from shlex import quote

import orjson
from aiohttp import web

from server import keys
from server.settings import Settings, Switch

STRANGER = "guest"


def announcement(settings: Settings, app: web.Application) -> str:
    """Return the lines to print."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    models = app[keys.MODELS]
    model = models.model
    if model is None:
        return f"Cuvée is up on {url}, and has {models.why_none}"
    page = "" if settings.ui is Switch.OFF else f"look at {url}/ui, "
    told = orjson.dumps({"user_id": model.example_user or STRANGER, "k": 3}).decode()
    serves = f"serves model {model.version} on {url}"
    if not model.is_whole:
        serves = (
            f"is up on {url} with the popular items of model {model.version}, which cannot rank"
        )
    return (
        f"Cuvée {serves} ({page}try {url}/docs). "
        "Ask it for a list:\n\n"
        f"curl -s {url}/v1/recommendations "
        f"-H 'Content-Type: application/json' -d {quote(told)}\n"
    )
