"""The benchmark's figures as a picture: processor time and p50, as multiples of the ceiling's."""

from collections.abc import Callable, Sequence
from pathlib import Path

from loadtests.bench.table import Round, middle
from loadtests.picture import OTHERS, OWN, picture


def plot(rounds: Sequence[Round], path: Path) -> None:
    """Draw into `path`, in the format that its name says."""
    names = list(rounds[0].figures)
    panels: tuple[tuple[str, Callable[[Round, str], float]], ...] = (
        ("CPU per request, × bare aiohttp", Round.cpu_before),
        ("p50 at a fixed rate, × bare aiohttp", Round.p50),
    )
    with picture(path, 2, (10, 0.4 * len(names) + 1), share_y=True) as axes:
        for axis, (title, of) in zip(axes, panels, strict=True):
            values = [_middle(rounds, of, name) for name in names]
            colours = [OWN if name.startswith("cuvee") else OTHERS for name in names]
            bars = axis.barh(names, values, color=colours)
            axis.bar_label(bars, fmt="%.1f", padding=3)
            axis.set_title(title, fontsize=10)
            axis.margins(x=0.15)
        axes[0].invert_yaxis()


def _middle(rounds: Sequence[Round], of: Callable[[Round, str], float], name: str) -> float:
    return middle(rounds, lambda each: of(each, name))
