"""The models of a home as the page shows them: which serves, which there are, who moved what."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from models.journal import CANARY, CANDIDATE, Record
from models.manifest import Manifest
from models.registry import Registry

MOST_VERSIONS = 12
MOST_MOVES = 20
LONGEST_WHY = 400


def model_part(registry: Registry) -> dict[str, Any] | None:
    """Return versions, aliases and latest moves, newest first; None where there is no model.

    Raises `FeaturesError` where the registry cannot be read.
    """
    aliases, manifests = registry.aliases(), registry.manifests()
    if not manifests:
        return None
    named = aliases.versions()
    told = [
        each
        for at, each in enumerate(manifests)
        if at < MOST_VERSIONS or each.version in named.values()
    ]
    return {
        "aliases": named,
        "canary": None if aliases.canary is None else asdict(aliases.canary),
        "versions": [_version(each) for each in told],
        "history": _moves(list(islice(registry.history(), MOST_MOVES + 1))),
    }


def _version(manifest: Manifest) -> dict[str, Any]:
    figures = manifest.metrics.get("model")
    ndcg = figures.get("ndcg@10") if isinstance(figures, Mapping) else None
    return {"version": manifest.version, "created": manifest.created, "ndcg": ndcg}


def _moves(records: list[Record]) -> list[dict[str, Any]]:
    before: list[Record | None] = [*records[1:], None]
    return [
        {
            "at": record.at,
            "action": record.action,
            "version": _moved(record, last),
            "why": record.why[:LONGEST_WHY],
            "who": record.who,
        }
        for record, last in list(zip(records, before, strict=True))[:MOST_MOVES]
    ]


def _moved(record: Record, last: Record | None) -> str | None:
    """Return the version that a move is about; the end of a trial is about what was on trial."""
    named = record.aliases.versions()
    if record.action == "stop":
        return None if last is None else last.aliases.versions()[CANARY]
    return named[record.action if record.action in (CANARY, CANDIDATE) else "production"]
