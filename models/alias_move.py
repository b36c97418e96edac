"""What may be done to the aliases of a registry, in whichever registry it is done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from operator import methodcaller
from types import EllipsisType
from typing import Self

from models.canary import Canary
from models.errors import RegistryError
from models.journal import Aliases


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One move: `action` is its name in the history, `change` what aliases name after it.

    It is made only where `serves` is still the production model, and `canary` still on trial, as
    whoever makes it has seen; `...` is any.
    """

    action: str
    change: Callable[[Aliases], Aliases]
    serves: str | EllipsisType | None = ...
    canary: Canary | EllipsisType | None = ...

    def fits(self, present: Aliases) -> bool:
        """Tell whether `present` is what whoever makes the move has seen."""
        serves_that = self.serves is ... or present.production == self.serves
        return serves_that and (self.canary is ... or present.canary == self.canary)

    @classmethod
    def promote(
        cls,
        version: str,
        present: Aliases,
        serves: str | EllipsisType | None = ...,
        canary: Canary | EllipsisType | None = ...,
    ) -> Self:
        """Make a model the production model; a trial that was on ends.

        In the place of `serves`, or else of what `present` names.
        """
        replaced = present.production if serves is ... else serves
        return cls("promote", methodcaller("promoted", version), replaced, canary)

    @classmethod
    def roll_back(cls, version: str, present: Aliases, serves: str | None) -> Self:
        """Make the previous model, `version`, the production model again; a trial ends.

        In the place of `serves`, or else of what `present` names. Raises `RegistryError` where it
        is that already.
        """
        if version == present.production:
            raise RegistryError(f"the previous model, {version}, is the one that serves")
        replaced = present.production if serves is None else serves
        return cls("rollback", methodcaller("rolled_back", version), replaced)

    @classmethod
    def start_canary(cls, canary: Canary, present: Aliases) -> Self:
        """Begin the trial of a model.

        Raises `RegistryError` where none can begin beside what `present` names.
        """
        _require_free(present, canary)
        return cls("canary", partial(replace, canary=canary), present.production, None)

    @classmethod
    def move_canary(cls, canary: Canary, wanted: Canary | None) -> Self:
        """Go on from one step of a trial to another, or end it with None."""
        action = "stop" if wanted is None else "canary"
        return cls(action, partial(replace, canary=wanted), canary=canary)

    @classmethod
    def set_candidate(cls, version: str) -> Self:
        """Name the model that waits for promotion."""
        return cls("candidate", partial(replace, candidate=version))


def _require_free(present: Aliases, canary: Canary) -> None:
    if present.production is None:
        raise RegistryError("there is no production model to measure a canary against")
    if present.production == canary.version:
        raise RegistryError(f"{canary.version} serves already")
    if present.canary is not None:
        raise RegistryError(
            f"{present.canary.version} is on trial; python -m models canary stop ends that first"
        )
