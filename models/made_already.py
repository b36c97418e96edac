"""A model that is there already, so that none need be trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from features.home import command_in
from features.offline.store import OfflineStore
from models.errors import ModelsError
from models.journal import CANDIDATE
from models.manifest import Manifest
from models.registry import Registry
from models.validated import VALIDATED, Validation
from models.validation import Against

KNOWN = "a model of what is stored is there already: nothing to do"


@dataclass(frozen=True, slots=True)
class MadeAlready:
    """Why none is trained, in words, and what is told of that in JSON."""

    why: str
    told: Mapping[str, Any] = field(default_factory=lambda: {"version": None})


def serves_already(registry: Registry, store: OfflineStore) -> MadeAlready | None:
    """Return that a model serves, else None."""
    serving = _loadable(registry, registry.production())
    if serving is None:
        return None
    why = f"model {serving.version} serves already"
    if not store.is_unchanged_since(serving.dataset_version):
        train = command_in(store.home, "python -m models train")
        why += f"; data came since: {train} learns from them"
    return MadeAlready(why)


def made_already(
    registry: Registry, store: OfflineStore, rival: Against | None
) -> MadeAlready | None:
    """Return that a model of the present data serves, or waits beside one that does, else None.

    Beside a `rival` one that waits counts only where it was measured against it. It is told like
    one that was just trained: whoever trained it may have died before saying so.
    """
    production = registry.production()
    if _made_of(store, registry, production) is not None:
        return MadeAlready(KNOWN)
    waiting = None if production is None else _made_of(store, registry, registry.candidate())
    if waiting is None:
        return None
    if rival is None:
        lets = command_in(store.home, f"python -m models promote {CANDIDATE}")
        why = f"{waiting.version} of what is stored waits as {CANDIDATE}, nothing to do: "
        return MadeAlready(f"{why}{lets} lets it serve")
    if not _is_measured(waiting, rival):
        return None
    validation = Validation.of(waiting.metrics[VALIDATED])
    why = f"{waiting.version} of what is stored waits as {CANDIDATE}: {validation}"
    return MadeAlready(why, told_of(waiting.version, CANDIDATE, waiting.metrics))


def told_of(version: str, role: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a model that was trained, in JSON."""
    return {"version": version, "role": role, VALIDATED: metrics.get(VALIDATED)}


def readable_manifest(registry: Registry, version: str | None) -> Manifest | None:
    """Return a manifest, None where there is none that can be believed."""
    try:
        return None if version is None else registry.manifest(version)
    except ModelsError:
        return None


def _made_of(store: OfflineStore, registry: Registry, version: str | None) -> Manifest | None:
    """Return the manifest of a model that can be loaded and was made of what is there, or None."""
    manifest = _loadable(registry, version)
    if manifest is None or not store.is_unchanged_since(manifest.dataset_version):
        return None
    return manifest


def _loadable(registry: Registry, version: str | None) -> Manifest | None:
    """Return the manifest of a model that this program can load, else None."""
    try:
        if version is not None:
            registry.load(version)
    except ModelsError:
        return None
    return readable_manifest(registry, version)


def _is_measured(manifest: Manifest, rival: Against) -> bool:
    """Tell whether a model was measured against that rival, by that margin."""
    if VALIDATED not in manifest.metrics:
        return False
    told = Validation.of(manifest.metrics[VALIDATED])
    return (told.incumbent, told.margin) == (rival.model.version, rival.margin)
