"""Rolling back: the model before serves again, if the finding is about the one that serves now."""

import asyncio
from collections.abc import Callable, Iterator

from models.alias_registry import AliasRegistry
from models.journal import Record
from monitoring.response.case import WHO, Case


class RollBack:
    """Moves aliases as `python -m models rollback` does."""

    def __init__(self, registry: AliasRegistry, clock: Callable[[], float]) -> None:
        """Move those of `registry`: of a home, or the one that homes share."""
        self._registry = registry
        self._clock = clock

    async def refusal(self, case: Case) -> str | None:
        """Return why there is no way back."""
        return await asyncio.to_thread(refusal, self._registry, case.lead.version)

    async def do(self, case: Case) -> str:
        """Roll back; raise `ConflictError` where another model came to serve meanwhile."""
        version = await asyncio.to_thread(self._roll_back, case)
        took_s = self._clock() - case.lead.at_s
        return f"{version} serves again, {took_s:.1f} s after this was found"

    def _roll_back(self, case: Case) -> str:
        return self._registry.rollback(case.why, WHO, serves=case.lead.version)


def refusal(registry: AliasRegistry, version: str) -> str | None:
    """Return why what is found of `version` is no reason to roll back, None where it is."""
    aliases = registry.aliases()
    if aliases.canary is not None and aliases.canary.version == version:
        return f"{version} is on trial: it is judged by its guardrails"
    if aliases.production != version:
        return f"this was found of {version}, and {aliases.production or 'nothing'} serves"
    if aliases.previous is None:
        return "there is no previous model to roll back to"
    if was_rolled_back(registry.history(), aliases.previous):
        return f"{aliases.previous}, the model before, was itself rolled back from"
    return None


def was_rolled_back(history: Iterator[Record], version: str) -> bool:
    """Tell whether a model was rolled back from since it was promoted last; newest records first.

    To roll back twice goes forth again: back to what was bad.
    """
    for record in history:
        if record.action == "promote" and record.aliases.production == version:
            return False
        if record.action == "rollback" and record.aliases.previous == version:
            return True
    return False
