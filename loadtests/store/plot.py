"""What peers take as a multiple of ours, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from loadtests.picture import OTHERS, OWN, picture
from loadtests.store.figures import CUVEE, Part

_COLOURS = (OWN, OTHERS, "#86807a")


def plot(parts: Sequence[Part], path: Path) -> None:
    """Draw a panel for each part that has peers into `path`, in the format that its name says."""
    shown = [part for part in parts if len(part.names) > 1] or list(parts[:1])
    with picture(path, len(shown), (5.5 * len(shown), 4)) as axes:
        for axis, part in zip(axes, shown, strict=True):
            figures = [each for each in part.figures if each.is_compared]
            high = 0.8 / len(part.names)
            for number, name in enumerate(part.names):
                values = [part.of(each, name) / part.of(each, CUVEE) for each in figures]
                places = [row + number * high for row in range(len(figures))]
                bars = axis.barh(places, values, high * 0.9, color=_COLOURS[number], label=name)
                axis.bar_label(bars, fmt="%.1f", padding=3, fontsize=7)
            labels = [each.label.replace(": ", "\n", 1) for each in figures]
            middle = (len(part.names) - 1) * high / 2
            axis.set_yticks([row + middle for row in range(len(figures))], labels, fontsize=7)
            axis.set_title(part.title, fontsize=10)
            axis.set(xscale="log", xlabel="× cuvee: longer is dearer")
            axis.margins(x=0.2)
            axis.invert_yaxis()
            axis.legend(loc="lower right", frameon=False, fontsize=7)
