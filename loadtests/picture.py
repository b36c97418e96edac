"""Pictures of figures: the same figures make the same file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OWN, OTHERS = "#7b1e3a", "#b9b4ac"
"""Colours of ours, and of what stands beside it."""


@contextmanager
def picture(
    path: Path, panels: int, size: tuple[float, float], *, share_y: bool = False
) -> Iterator["list[Axes]"]:
    """Yield so many axes to draw on, then write them to `path` in the format of its name.

    `size` is in inches; with `share_y` the axes stand side by side on one scale.
    """
    import matplotlib as mpl  # noqa: PLC0415 (half a second, and only where asked for)

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "cuvee"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, panels, figsize=size, squeeze=False, sharey=share_y)
    for axis in axes[0]:
        axis.spines[["top", "right"]].set_visible(False)
    yield list(axes[0])
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
