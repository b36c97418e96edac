"""The benchmark's figures as a picture: processor time and p50, as multiples of the ceiling's."""

from collections.abc import Callable, Sequence
from pathlib import Path

from loadtests.bench.table import Round, middle

OWN, OTHERS = "#7b1e3a", "#b9b4ac"


def plot(rounds: Sequence[Round], path: Path) -> None:
    """Draw into `path`, in the format that its name says."""
    import matplotlib as mpl  # noqa: PLC0415 (half a second, and only where asked for)

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "cuvee"  # the same figures, the same file
    from matplotlib import pyplot as plt  # noqa: PLC0415

    names = list(rounds[0].figures)
    panels: tuple[tuple[str, Callable[[Round, str], float]], ...] = (
        ("CPU per request, × bare aiohttp", Round.cpu_before),
        ("p50 at a fixed rate, × bare aiohttp", Round.p50),
    )
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(10, 0.4 * len(names) + 1))
    for axis, (title, of) in zip(axes, panels, strict=True):
        values = [_middle(rounds, of, name) for name in names]
        colours = [OWN if name.startswith("cuvee") else OTHERS for name in names]
        bars = axis.barh(names, values, color=colours)
        axis.bar_label(bars, fmt="%.1f", padding=3)
        axis.set_title(title, fontsize=10)
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _middle(rounds: Sequence[Round], of: Callable[[Round, str], float], name: str) -> float:
    return middle(rounds, lambda each: of(each, name))
