"""Every route of the service: method, path, handler, and the label it is counted under."""

from aiohttp import web
from aiohttp.typedefs import Handler

from monitoring.labels import Route
from server.handlers import docs, events, health, items, models, recommendations, users

ROUTES: tuple[tuple[str, str, Handler, Route], ...] = (
    ("POST", "/v1/recommendations", recommendations.recommend, Route.RECOMMENDATIONS),
    ("POST", "/v1/events", events.append, Route.EVENTS),
    ("GET", "/v1/items/{item_id}/similar", items.similar, Route.SIMILAR),
    ("GET", "/v1/popular", items.popular, Route.POPULAR),
    ("GET", "/v1/users/{user_id}", users.show, Route.USER),
    ("DELETE", "/v1/users/{user_id}", users.forget, Route.USER),
    ("GET", "/v1/models", models.show, Route.MODELS),
    ("POST", "/v1/models/{version}/promote", models.promote, Route.PROMOTE),
    ("POST", "/v1/models/rollback", models.rollback, Route.ROLLBACK),
    ("GET", "/v1/realtime", health.window, Route.WINDOW),
    ("GET", "/healthz", health.alive, Route.HEALTH),
    ("GET", "/readyz", health.ready, Route.READY),
    ("GET", "/metrics", health.metrics, Route.METRICS),
    ("GET", "/openapi.json", docs.openapi, Route.DOCS),
    ("GET", "/docs", docs.page, Route.DOCS),
)

_LABELS = {path: route for _, path, _, route in ROUTES}


def add_routes(app: web.Application) -> None:
    """Give `app` every route."""
    for method, path, handler, _ in ROUTES:
        app.router.add_route(method, path, handler)


def label_of(request: web.Request) -> Route:
    """Return the label of the route that `request` matched."""
    resource = request.match_info.route.resource
    return _LABELS.get(resource.canonical, Route.UNMATCHED) if resource else Route.UNMATCHED
