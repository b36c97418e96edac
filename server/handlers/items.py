"""`GET /v1/items/{id}/similar`, `…/bought-together`, `/v1/popular`: lists that are no shopper's."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web

from features.ids import NO_HASHES
from models.model import Model
from models.reasons import Kind, explained
from models.request import ANY_IN_STOCK, Listed
from server import keys
from server.errors import NotFoundError
from server.query import DEFAULT_K, MAX_K
from server.response import Response
from server.url import parse_count, parse_path_id, parse_query_ids

Item = TypeVar("Item")

MOST_INLINE: Final = 20_000
"""Items that are compared on the event loop; more would hold it up."""

MAX_BASKET: Final = 50
"""Items of a basket beside the one that the path names."""

_SOURCES: Final = {Kind.BOUGHT_WITH: "baskets", Kind.SIMILAR_TO: "similar", None: "popular"}


async def similar(request: web.Request) -> Response:
    """Return the neighbours of an item."""
    k = parse_count(request.query, "k", DEFAULT_K, MAX_K)
    model = request.app[keys.MODELS].require()
    item_id = parse_path_id(request.match_info, "item_id")
    items = await _ranked(model, model.similar, _known(model, item_id), k)
    return _listed({"item_id": item_id}, model.json(items), model.version)


async def bought_together(request: web.Request) -> Response:
    """Return what is bought with an item, or with a basket: `with` names what else is in it.

    `source` says what the first of the items comes from, if anything speaks for it. What the model
    does not know of the rest of a basket is left out of account.
    """
    k = parse_count(request.query, "k", DEFAULT_K, MAX_K)
    also = parse_query_ids(request.query.getall("with", []), "with", MAX_BASKET)
    model = request.app[keys.MODELS].require()
    item_id = parse_path_id(request.match_info, "item_id")
    found = [_known(model, item_id), *map(model.index_of, also)]
    basket = list(dict.fromkeys(index for index in found if index is not None))
    items = await _ranked(model, model.bought_together, basket, k)
    told = {"item_id": item_id, "source": _source(items)}
    return _listed(told, model.json(items), model.version)


async def popular(request: web.Request) -> Response:
    """Return what a segment buys, or everybody."""
    k = parse_count(request.query, "k", DEFAULT_K, MAX_K)
    model = request.app[keys.MODELS].require()
    name = request.query.get("segment", model.segment_names[0])
    segment = model.segment_named(name)
    if segment is None:
        raise NotFoundError(
            f"segment {name!r:.140} is none of this model's: an answer names the shopper's"
        )
    items = model.popular_json(segment, NO_HASHES, ANY_IN_STOCK, k)
    return _listed({"segment": name}, items, model.version)


def _known(model: Model, item_id: str) -> int:
    index = model.index_of(item_id)
    if index is None:
        raise NotFoundError(f"item {item_id!r:.140} is not in the catalogue of this model")
    return index


async def _ranked(model: Model, rank: Callable[[Item, int], Listed], item: Item, k: int) -> Listed:
    if len(model) <= MOST_INLINE:
        return rank(item, k)
    return await asyncio.to_thread(rank, item, k)


def _source(items: Listed) -> str | None:
    if not items.sources:
        return None
    kind, _ = explained(items.sources[0])
    return _SOURCES.get(kind)


def _listed(subject: dict[str, Any], items: bytes, version: str) -> Response:
    body = orjson.dumps({**subject, "items": orjson.Fragment(items), "model_version": version})
    return Response(body)
