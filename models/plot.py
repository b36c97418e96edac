"""Figures with their intervals as a drawing: SVG for a page, in the colours of its style."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

_WIDTH, _NAMES, _ROW = 720, 190, 26
_MARGIN, _AXIS = 16, 34


class Mark(NamedTuple):
    """One row: a name, a figure and its interval; `stands_out` where it is the one in question."""

    name: str
    value: float
    low: float
    high: float
    stands_out: bool = False


def intervals_plot(title: str, unit: str, marks: Sequence[Mark]) -> str:
    """Return SVG of a row for each mark, from 0 on; who cannot see it is told the figures."""
    ticks = _ticks(max((each.high for each in marks), default=0.0))
    height = _ROW * len(marks) + _AXIS

    def x(value: float) -> float:
        return round(_NAMES + value / ticks[-1] * (_WIDTH - _NAMES - _MARGIN), 1)

    told = "; ".join(f"{each.name} {each.value:.4f}" for each in marks)
    label = escape(f"{title}: {unit}. {told}")
    lines = [f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">']
    for tick in ticks:
        bottom = height - _AXIS + 6
        lines.append(f'<path class="grid" d="M{x(tick)} 0V{bottom}"/>')
        lines.append(f'<text class="tick" x="{x(tick)}" y="{bottom + 16}">{tick:g}</text>')
    for row, each in enumerate(marks):
        y = _ROW * row + _ROW // 2
        kind = "mark own" if each.stands_out else "mark"
        lines.append(
            f'<g class="{kind}"><text x="{_NAMES - 12}" y="{y + 4}">{escape(each.name)}</text>'
            f'<path d="M{x(each.low)} {y}H{x(each.high)}"/>'
            f'<circle cx="{x(each.value)}" cy="{y}" r="5"/></g>'
        )
    return "\n".join([*lines, "</svg>"])


def _ticks(most: float) -> list[float]:
    """Return about five round numbers from 0 to `most` or a little more."""
    rough = max(most, 1e-6) / 4
    size = 10.0 ** np.floor(np.log10(rough))
    step = next(size * each for each in (1, 2, 2.5, 5, 10) if size * each >= rough * 0.999)
    count = max(int(np.ceil(most / step - 1e-9)), 1)
    return [round(float(step * each), 10) for each in range(count + 1)]
