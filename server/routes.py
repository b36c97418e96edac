"""Every route of the service: method, path, handler, and the label it is counted under."""

from itertools import groupby

from aiohttp import web

from monitoring.labels import Route
from server.errors import MethodError, NotFoundError
from server.handlers import (
    docs,
    events,
    health,
    inference,
    items,
    models,
    recommendations,
    ui,
    users,
)
from server.response import Handler, Response
from server.routed import routed
from server.url import taking

ROUTES: tuple[tuple[str, str, Handler, Route], ...] = (
    ("POST", "/v1/recommendations", recommendations.recommend, Route.RECOMMENDATIONS),
    ("POST", "/v1/events", events.append, Route.EVENTS),
    ("GET", "/v1/items/{item_id}/similar", items.similar, Route.SIMILAR),
    ("GET", "/v1/items/{item_id}/bought-together", items.bought_together, Route.BOUGHT_TOGETHER),
    ("GET", "/v1/popular", items.popular, Route.POPULAR),
    ("GET", "/v1/users/{user_id}", users.show, Route.USER),
    ("DELETE", "/v1/users/{user_id}", users.forget, Route.USER),
    ("POST", "/v1/users/{user_id}/merge", users.merge, Route.MERGE),
    ("GET", "/v1/models", models.show, Route.MODELS),
    ("POST", "/v1/models/{version}/promote", models.promote, Route.PROMOTE),
    ("POST", "/v1/models/rollback", models.rollback, Route.ROLLBACK),
    ("POST", "/v1/models/canary/advance", models.advance, Route.CANARY),
    ("POST", "/v1/models/canary/stop", models.stop, Route.CANARY),
    ("GET", "/v1/realtime", health.window, Route.WINDOW),
    ("GET", "/v2", inference.server, Route.V2),
    ("GET", "/v2/health/live", inference.live, Route.V2),
    ("GET", "/v2/health/ready", inference.ready, Route.V2),
    ("GET", "/v2/models/{name}", inference.model, Route.V2),
    ("GET", "/v2/models/{name}/ready", inference.model_ready, Route.V2),
    ("POST", "/v2/models/{name}/infer", inference.scores, Route.INFER),
    ("GET", "/v2/models/{name}/versions/{version}", inference.model, Route.V2),
    ("GET", "/v2/models/{name}/versions/{version}/ready", inference.model_ready, Route.V2),
    ("POST", "/v2/models/{name}/versions/{version}/infer", inference.scores, Route.INFER),
    ("GET", "/healthz", health.alive, Route.HEALTH),
    ("GET", "/readyz", health.ready, Route.READY),
    ("GET", "/metrics", health.metrics, Route.METRICS),
    ("GET", "/openapi.json", docs.openapi, Route.DOCS),
    ("GET", "/docs", docs.page, Route.DOCS),
    ("GET", "/ui", ui.page, Route.UI),
    ("GET", "/ui/state", ui.state, Route.UI),
    ("POST", "/ui/names", ui.names, Route.UI),
    ("GET", "/ui/page/{file}", ui.file, Route.UI),
)

STRICT = "/v1/"
"""Paths with unknown parameters that are refused. Elsewhere scrapers and clients add their own."""

PARAMETERS = {
    "/v1/items/{item_id}/similar": ("k",),
    "/v1/items/{item_id}/bought-together": ("k", "with"),
    "/v1/popular": ("k", "segment"),
    "/v1/realtime": ("seconds",),
}
"""Of strict paths that have any."""


def add_routes(app: web.Application) -> None:
    """Give `app` every route, and an answer to what is none."""
    router = app.router
    for path, routes in groupby(ROUTES, lambda route: route[1]):
        methods = []
        for method, _, handler, label in routes:
            router.add_route(method, path, routed(_strict(path, handler), label, path))
            methods.append(method)
        refuse = _no_method(methods)
        told = inference.told_by_v2(refuse) if path.startswith("/v2") else refuse
        router.add_route("*", path, routed(told, Route.UNMATCHED))
    router.add_route("*", "/v2/{anything:.*}", routed(inference.nothing, Route.UNMATCHED))
    router.add_route("*", "/{anything:.*}", routed(_nothing_there, Route.UNMATCHED))


def _strict(path: str, handler: Handler) -> Handler:
    return taking(PARAMETERS.get(path, ()), handler) if path.startswith(STRICT) else handler


def _no_method(allowed: list[str]) -> Handler:
    async def refuse(request: web.Request) -> Response:
        raise MethodError(f"{request.method} {request.path[:200]}: see /docs", allowed)

    return refuse


async def _nothing_there(request: web.Request) -> Response:
    raise NotFoundError(f"{request.method} {request.path[:200]}: see /docs")
