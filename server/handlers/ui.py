"""`/ui`: a page that shows how the service is, and lets somebody ask it for a list."""

from functools import wraps

import orjson
from aiohttp import web

from server import keys
from server.admin import check_admin
from server.body import read_body
from server.errors import NotFoundError
from server.query import parse_item_ids
from server.response import Handler, Response
from server.settings import Switch
from server.ui.files import DATA_HEADERS, INDEX, page_file


def where_on(handler: Handler) -> Handler:
    """Answer with 404 where `CUVEE_UI` is off."""

    @wraps(handler)
    async def answer(request: web.Request) -> Response:
        if request.app[keys.SETTINGS].ui is Switch.OFF:
            raise NotFoundError("there is no page here: CUVEE_UI is off")
        return await handler(request)

    return answer


@where_on
async def page(_: web.Request) -> Response:
    """Return the page; it holds no figure."""
    return _file(INDEX)


@where_on
async def file(request: web.Request) -> Response:
    """Return a file that the page is made of."""
    return _file(request.match_info["file"])


@where_on
async def state(request: web.Request) -> Response:
    """Return what the page shows: to who bears the admin token all of it.

    Who shows no token gets what `/metrics` tells anybody; a wrong one is refused.
    """
    is_admin = "Authorization" in request.headers
    if is_admin:
        check_admin(request)
    told = await request.app[keys.UI_STATE].told(to_admin=is_admin)
    return Response(told, headers=DATA_HEADERS)


@where_on
async def names(request: web.Request) -> Response:
    """Return the names of items, of those that the model knows by one."""
    item_ids = parse_item_ids(await read_body(request))
    model = request.app[keys.MODELS].require()
    rows = {item_id: model.index_of(item_id) for item_id in item_ids}
    named = {item_id: model.item_name(row) for item_id, row in rows.items() if row is not None}
    told = {"names": {item_id: name for item_id, name in named.items() if name}}
    return Response(orjson.dumps(told), headers=DATA_HEADERS)


def _file(name: str) -> Response:
    told = page_file(name)
    if told is None:
        raise NotFoundError(f"the page has no file {name!r:.80}")
    return told
