"""The three courses a load test can take."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Phase:
    """A number of users for a while; one user makes two requests a second."""

    seconds: float
    users: int
    spawn_rate: int


SHAPES: Final = {
    "smoke": (Phase(20, 40, 40),),
    "steady": (Phase(60, 50, 10), Phase(1_740, 150, 10)),
    "spike": (Phase(60, 50, 50), Phase(30, 600, 300), Phase(60, 50, 100)),
}


def phase_at(shape: str, elapsed_s: float, time_scale: float = 1.0) -> Phase | None:
    """Return the phase of `shape` at `elapsed_s`, None after its end; times are scaled."""
    end = 0.0
    for phase in SHAPES[shape]:
        end += phase.seconds * time_scale
        if elapsed_s < end:
            return phase
    return None
