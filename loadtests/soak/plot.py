"""A soak as a picture: the worker's memory over time, and when models were promoted."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from loadtests.picture import OTHERS, OWN, picture
from loadtests.soak.step import Step
from loadtests.soak.verdict import typical_mb


def plot(steps: Sequence[Step], path: Path) -> None:
    """Draw into `path`, in the format that its name says."""
    with picture(path, 1, (10, 4)) as (axis,):
        promoted = [at / 60 for step in steps for at in step.promoted_s]
        for number, at in enumerate(promoted):
            axis.axvline(
                at, color=OTHERS, lw=0.6, label=None if number else "promotion or rollback"
            )
        for process, group in groupby(steps, lambda step: step.process):
            those = list(group)
            seen = [point for step in those for point in step.rss_mb]
            label = "RSS" if process == 1 else None
            axis.plot(
                [at / 60 for at, _ in seen], [mb for _, mb in seen], color=OWN, lw=0.8, alpha=0.5
            )
            axis.plot(
                [(step.began_s + step.seconds) / 120 for step in those],
                [typical_mb(step) for step in those],
                "o-",
                color=OWN,
                ms=4,
                label=label and f"{label}, median of a step",
            )
        axis.set(xlabel="minutes of load", ylabel="worker, MB", ylim=(0, None))
        axis.legend(frameon=False, loc="lower right")
