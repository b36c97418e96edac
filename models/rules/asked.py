"""A list that is asked for."""

from typing import NamedTuple

from features.ids import stable_hash
from models.rules.compiled import Turn


class Asked(NamedTuple):
    """One list, whoever ranked: how long, for whom, and when."""

    k: int
    user_id: str
    turn: Turn

    @property
    def seed(self) -> int:
        """Return what the draw of ranked items depends on."""
        return stable_hash(f"{self.turn.slot} {self.turn.after} {self.user_id}")

    @property
    def new_seed(self) -> int:
        """Return what the draw of new items depends on."""
        return stable_hash(f"new {self.turn.new_slot} {self.turn.after} {self.user_id}")
