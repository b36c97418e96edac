"""The model registry (admin): what there is, which one serves, the one before."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from models.errors import BundleError, RegistryError
from models.manifest import Manifest
from models.registry import Registry
from server import keys
from server.admin import admin
from server.errors import ConflictError, NotFoundError
from server.response import Response


@admin
async def show(request: web.Request) -> Response:
    """Return every bundle, newest first, and which aliases name it."""
    told = await asyncio.to_thread(_told, request.app[keys.REGISTRY])
    serving = request.app[keys.MODELS].model
    return _json({**told, "serving": serving and serving.version})


@admin
async def promote(request: web.Request) -> Response:
    """Verify a bundle, make it the production model and serve it."""
    registry, version = request.app[keys.REGISTRY], request.match_info["version"]
    known = await asyncio.to_thread(lambda: {each.version for each in registry.manifests()})
    if version not in known:
        raise NotFoundError(f"there is no model {version!r:.140}")
    try:
        await request.app[keys.MODEL_MOVES].promote(version, *_by(request))
    except (BundleError, RegistryError) as error:
        raise ConflictError(str(error)) from None
    return await _served(request)


@admin
async def rollback(request: web.Request) -> Response:
    """Make the previous model the production model again and serve it."""
    try:
        await request.app[keys.MODEL_MOVES].rollback(*_by(request))
    except (BundleError, RegistryError) as error:
        raise ConflictError(str(error)) from None
    return await _served(request)


def _by(request: web.Request) -> tuple[str, str]:
    """Return the reason and who gives it, for the history."""
    return f"{request.method} {request.path:.140}", f"admin at {request.remote}"


async def _served(request: web.Request) -> Response:
    registry, models = request.app[keys.REGISTRY], request.app[keys.MODELS]
    await models.refresh()
    aliases = await asyncio.to_thread(_aliases, registry)
    return _json({**aliases, "serving": models.model and models.model.version})


_LONG = {"audiences", "by_segment"}
"""Metrics that are told by the report only: most of a manifest."""


def _told(registry: Registry) -> dict[str, Any]:
    return {**_aliases(registry), "models": [_summary(each) for each in registry.manifests()]}


def _aliases(registry: Registry) -> dict[str, str | None]:
    return {
        "production": registry.production(),
        "previous": registry.previous(),
        "candidate": registry.candidate(),
    }


def _summary(manifest: Manifest) -> dict[str, Any]:
    return {
        "version": manifest.version,
        "created": manifest.created,
        "dataset_version": manifest.dataset_version,
        "metrics": {name: told for name, told in manifest.metrics.items() if name not in _LONG},
    }


def _json(told: dict[str, Any]) -> Response:
    return Response(orjson.dumps(told))
