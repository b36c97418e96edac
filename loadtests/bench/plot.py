"""The benchmark's figures as a picture: processor time and p50, as multiples of the ceiling's."""

from collections.abc import Sequence
from pathlib import Path

from loadtests.bench.table import Round, middle
from loadtests.picture import OTHERS, OWN, picture


def plot(rounds: Sequence[Round], path: Path) -> None:
    """Draw into `path`, in the format that its name says."""
    names = list(rounds[0].figures)
    panels = (
        ("CPU per request, × bare aiohttp", "cpu_ms"),
        ("p50 at a fixed rate, × bare aiohttp", "p50_ms"),
    )
    with picture(path, 2, (10, 0.4 * len(names) + 1), share_y=True) as axes:
        for axis, (title, figure) in zip(axes, panels, strict=True):
            values = [_middle(rounds, figure, name) for name in names]
            colours = [OWN if name.startswith("cuvee") else OTHERS for name in names]
            bars = axis.barh(names, values, color=colours)
            axis.bar_label(bars, fmt="%.1f", padding=3)
            axis.set_title(title, fontsize=10)
            axis.margins(x=0.15)
        axes[0].invert_yaxis()


def _middle(rounds: Sequence[Round], figure: str, name: str) -> float:
    return middle(rounds, lambda each: each.before(name, figure))
