"""The model registry (admin): what there is, which one serves, the one before."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from models.canary import Canary
from models.errors import BundleError, DiskError, RegistryError
from models.manifest import Manifest
from models.registry import Registry
from server import keys
from server.admin import admin
from server.body import read_body
from server.errors import ConflictError, NotFoundError, ServiceError, UnavailableError
from server.model_moves import RETRY_S, ModelMoves
from server.move import OF_PROMOTIONS, OF_ROLLBACKS, OF_STEPS, Move, parse_move
from server.response import Response


@admin
async def show(request: web.Request) -> Response:
    """Return every bundle, newest first, and which aliases name it."""
    told = await asyncio.to_thread(_told, request.app[keys.REGISTRY])
    serving = request.app[keys.MODELS].model
    return _json({**told, "serving": serving and serving.version})


@admin
async def promote(request: web.Request) -> Response:
    """Verify a bundle, and serve it at once or try it on some shoppers first."""
    registry, version = request.app[keys.REGISTRY], request.match_info["version"]
    if not await asyncio.to_thread(registry.has, version):
        raise NotFoundError(f"there is no model {version!r:.140}")
    asked, moves = await _asked(request, OF_PROMOTIONS), request.app[keys.MODEL_MOVES]
    move: Callable[..., Awaitable[None]] = moves.start_canary
    if not asked.is_canary:
        serves = await asyncio.to_thread(registry.production)
        move = partial(moves.promote, serves=serves)
    try:
        async with request.app[keys.MODELS].holding(version) as model:
            await move(version, *_by(request, asked), model)
            return await _served(request)
    except (BundleError, RegistryError) as error:
        raise _refusal(error) from None


@admin
async def rollback(request: web.Request) -> Response:
    """Make the previous model the production model again and serve it."""
    asked = await _asked(request, OF_ROLLBACKS)
    try:
        kept = request.app[keys.MODELS].kept
        move = request.app[keys.MODEL_MOVES].rollback
        await move(*_by(request, asked), kept, serves=asked.serves)
    except (BundleError, RegistryError) as error:
        raise _refusal(error) from None
    return await _served(request)


@admin
async def advance(request: web.Request) -> Response:
    """Take the next step of the trial that is on, whatever is known."""
    return await _moved(request, request.app[keys.MODEL_MOVES].advance_canary)


@admin
async def stop(request: web.Request) -> Response:
    """End the trial that is on."""
    return await _moved(request, partial(_stop, request.app[keys.MODEL_MOVES]))


async def _stop(moves: ModelMoves, canary: Canary, why: str, who: str) -> None:
    told = await moves.stop_canary(canary, why, who)
    if told is not None:
        raise told


async def _moved(
    request: web.Request, move: Callable[[Canary, str, str], Awaitable[None]]
) -> Response:
    asked = await _asked(request, OF_STEPS)
    try:
        canary = await asyncio.to_thread(request.app[keys.REGISTRY].canary)
        if asked.step is not None and (canary is None or canary.key != asked.step):
            on = "no model" if canary is None else canary.key
            raise ConflictError(f"step {asked.step:.140} is over; {on} is on trial")
        if canary is None:
            raise NotFoundError("no model is on trial")
        await move(canary, *_by(request, asked))
    except (BundleError, RegistryError) as error:
        raise _refusal(error) from None
    return await _served(request)


def _refusal(error: BundleError | RegistryError) -> ServiceError:
    """Return how it is told: a disk may take later what it does not take now."""
    if isinstance(error, DiskError):
        return UnavailableError(f"nothing can be moved: {error}", RETRY_S)
    return ConflictError(str(error))


async def _asked(request: web.Request, known: tuple[str, ...]) -> Move:
    """Return what the body says of a move; it may be left out."""
    return parse_move(await read_body(request), known) if request.body_exists else Move()


def _by(request: web.Request, asked: Move) -> tuple[str, str]:
    """Return the reason and who gives it, for the history."""
    why = asked.why or f"{request.method} {request.path:.140}"
    return why, f"admin at {request.remote}"


async def _served(request: web.Request) -> Response:
    registry, models = request.app[keys.REGISTRY], request.app[keys.MODELS]
    await models.refresh()
    aliases = await asyncio.to_thread(_aliases, registry)
    return _json({**aliases, "serving": models.model and models.model.version})


_LONG = {"audiences", "by_segment"}
"""Metrics that are told by the report only: most of a manifest."""


def _told(registry: Registry) -> dict[str, Any]:
    return {**_aliases(registry), "models": [_summary(each) for each in registry.manifests()]}


def _aliases(registry: Registry) -> dict[str, Any]:
    aliases = registry.aliases()
    return {**aliases.versions(), "canary": aliases.canary and _on_trial(aliases.canary)}


def _on_trial(canary: Canary) -> dict[str, Any]:
    return {**asdict(canary), "key": canary.key}


def _summary(manifest: Manifest) -> dict[str, Any]:
    return {
        "version": manifest.version,
        "created": manifest.created,
        "dataset_version": manifest.dataset_version,
        "metrics": {name: told for name, told in manifest.metrics.items() if name not in _LONG},
    }


def _json(told: dict[str, Any]) -> Response:
    return Response(orjson.dumps(told))
