"""What a shared registry needs no more: bundles that nobody names, and blobs that no bundle has."""

import time
from collections.abc import Callable
from contextlib import suppress

from models.alias_registry import Cleared
from models.canary_exchange import TRIALS, over
from models.journal import Aliases
from models.manifest import Manifest
from models.pushed_models import BLOBS, MANIFESTS
from models.storage import Storage, reaching

YOUNG_S = 86_400.0
"""Blobs that are younger may be of a bundle whose manifest is still to come."""


class Leftovers:
    """Finds and removes them, beside others who push and move aliases."""

    def __init__(
        self,
        storage: Storage,
        manifests: Callable[[], list[Manifest]],
        aliases: Callable[[], Aliases],
    ) -> None:
        """Ask for `manifests`, newest first, and `aliases` again when others may have come."""
        self._storage = storage
        self._manifests = manifests
        self._aliases = aliases

    def clear(self, keep: int, *, dry_run: bool = False) -> Cleared:
        """Remove the manifests of all but the newest `keep` and those with an alias.

        Then blobs that no manifest names, but for those younger than a day: the manifest of a
        bundle comes after its blobs. What this program cannot read keeps all blobs. What homes
        told of trials goes a day after them.
        """
        named = {each: alias for alias, each in self._aliases().versions().items()}
        manifests = self._manifests()
        removed = [each for each in manifests[keep:] if each.version not in named]
        with reaching(self._storage):
            if dry_run:
                left = [each for each in manifests if each not in removed]
                loose = self._loose(left, known=len(manifests))
            else:
                named |= self._remove_unnamed(removed)
                removed = [each for each in removed if each.version not in named]
                left = self._manifests()  # somebody may have pushed meanwhile
                loose = self._removed(self._loose(left, known=len(left)), known=len(left))
            told = over(self._storage, self._aliases().canary, time.time() - YOUNG_S)
            for name in () if dry_run else told:
                self._storage.remove(f"{TRIALS}/{name}")
        kept = {
            each.version: named[each.version] for each in manifests[keep:] if each not in removed
        }
        versions = tuple(each.version for each in removed)
        size = sum(loose.values()) + sum(told.values())
        return Cleared(versions, size, kept, len(loose))

    def _remove_unnamed(self, manifests: list[Manifest]) -> dict[str | None, str]:
        """Remove manifests, bring back those that were named meanwhile; return what is named."""
        for each in manifests:
            self._storage.remove(f"{MANIFESTS}/{each.version}.json")
        named = {each: alias for alias, each in self._aliases().versions().items()}
        for each in manifests:
            if each.version in named:
                with suppress(FileExistsError):
                    self._storage.create(f"{MANIFESTS}/{each.version}.json", each.to_json())
        return named

    def _removed(self, loose: dict[str, int], known: int) -> dict[str, int]:
        """Remove blobs, until somebody pushes: what that needs is for another time to tell."""
        removed = {}
        for name, size in loose.items():
            if len(self._storage.entries(MANIFESTS)) != known:
                break
            self._storage.remove(f"{BLOBS}/{name}")
            removed[name] = size
        return removed

    def _loose(self, left: list[Manifest], known: int) -> dict[str, int]:
        """Return the size of each blob that nothing needs."""
        if len(self._storage.entries(MANIFESTS)) != known:
            return {}
        needed = {told.sha256 for each in left for told in each.files.values()}
        old = time.time() - YOUNG_S
        return {
            name: entry.size
            for name, entry in self._storage.entries(BLOBS).items()
            if name not in needed and entry.written < old
        }
