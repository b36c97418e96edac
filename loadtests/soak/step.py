"""One step of a soak: what was asked, and what the service held meanwhile."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.soak.memory import Memory


@dataclass(frozen=True, slots=True)
class Load:
    """What every step of a soak has alike: how long it takes, requests a second, and the shop."""

    step_s: float
    rate: float
    items: int
    shoppers: int
    trees: int


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the journal. Times are seconds of load since the start, all processes together."""

    load: Load
    seconds: float
    """When the step ended."""

    process: int
    """Which service process it was, from 1; each call starts a new one."""

    is_first: bool
    """Of its process."""

    requests: int
    failed: int
    """Answers other than they should be, or none at all."""

    examples: list[str]
    """The beginnings of some of them."""

    promotions: int
    """That were answered with 200, since the start."""

    refused: int
    """Promotions of this step that were not."""

    promoted_s: list[float]
    """When the promotions of this step were."""

    rss_mb: list[tuple[float, float]]
    """Resident memory of the worker, again and again: (when, how much)."""

    worker: Memory
    master: Memory
    valkey: Memory
    consumers: Memory
    p50_ms: float
    p99_ms: float
    open_files: int
    threads: int

    @property
    def began_s(self) -> float:
        """Return when the step began."""
        return self.seconds - self.load.step_s

    def line(self) -> str:
        """Return the step as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, line: str) -> "Step":
        """Return the step in a line; raise `ValueError` where there is none."""
        told: dict[str, Any] = json.loads(line)
        try:
            return cls(**{**told, **_parts(told)})
        except (KeyError, TypeError) as error:
            raise ValueError(str(error)) from None


def _parts(told: dict[str, Any]) -> dict[str, Any]:
    kinds = ("worker", "master", "valkey", "consumers")
    return {
        "load": Load(**told["load"]),
        "rss_mb": [(when, much) for when, much in told["rss_mb"]],
        **{kind: Memory(**told[kind]) for kind in kinds},
    }
