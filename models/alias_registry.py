"""What the registry of a home and one that homes share have in common."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Protocol

from models.canary import Canary
from models.journal import Aliases, Record
from models.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a registry removed, or would remove, in bytes; `kept` says why old ones stay."""

    versions: tuple[str, ...]
    size: int
    kept: Mapping[str, str]
    blobs: int = 0


class AliasRegistry(Protocol):
    """Models, and aliases that name some of them.

    A model is named by its version or an alias. Moves raise `RegistryError` or `BundleError`, or
    `ConflictError` where somebody was quicker, and change nothing then. `why` and `who` are for
    the history; who is the user of this process unless told.
    """

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all bundles that can be read, newest first."""
        ...

    def aliases(self) -> Aliases:
        """Return what the aliases name."""
        ...

    def history(self) -> Iterator[Record]:
        """Yield the moves of aliases, newest first."""
        ...

    def canary(self) -> Canary | None:
        """Return the model on trial and how far it is."""
        ...

    def promote(
        self,
        name: str,
        why: str = "",
        who: str | None = None,
        *,
        serves: str | EllipsisType | None = ...,
        canary: Canary | EllipsisType | None = ...,
    ) -> str:
        """Make a model that loads and ranks the production model, and return its version.

        With `serves` only where that model is the one that serves, with `canary` only where that
        step of a trial is on, or none. Twice is as good as once.
        """
        ...

    def rollback(self, why: str = "", who: str | None = None, *, serves: str | None = None) -> str:
        """Make the previous model the production model again, and return its version.

        With `serves` only where that model is the one that serves.
        """
        ...

    def start_canary(self, canary: Canary, why: str = "", who: str | None = None) -> Canary:
        """Begin the trial of a model that loads and ranks, beside the one that serves.

        Returns it with the version that it names, if by an alias.
        """
        ...

    def move_canary(
        self, canary: Canary, wanted: Canary | None, why: str = "", who: str | None = None
    ) -> None:
        """Go on from the step `canary` to the one that is wanted, or end the trial with None."""
        ...

    def set_candidate(self, name: str, why: str = "", who: str | None = None) -> None:
        """Name the model that waits for promotion."""
        ...

    def clear(self, keep: int, *, dry_run: bool = False) -> Cleared:
        """Remove all bundles but the newest `keep` and those that are needed."""
        ...
