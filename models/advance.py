"""Taking the next step of a rollout."""

from models.alias_registry import AliasRegistry
from models.canary import Canary
from models.rollout import Rollout


def advance(
    registry: AliasRegistry,
    rollout: Rollout,
    canary: Canary,
    why: str,
    who: str | None = None,
) -> Canary | None:
    """Take the next step of a trial and return it, None where the model now serves everybody.

    Raises `ConflictError` where another step than `canary` is on.
    """
    wanted = rollout.after(canary)
    if wanted is None:
        registry.promote(canary.version, why, who, canary=canary)
    else:
        registry.move_canary(canary, wanted, why, who)
    return wanted
