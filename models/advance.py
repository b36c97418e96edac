"""Taking the next step of a rollout."""

from models.canary import Canary
from models.registry import Registry
from models.rollout import Rollout
from models.shared_registry import SharedRegistry


def advance(
    registry: Registry | SharedRegistry,
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
