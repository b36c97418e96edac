"""The figures of all parts as Markdown tables."""

import math
from collections.abc import Sequence

from loadtests.store.figures import CUVEE, Figure, Part


def tables(parts: Sequence[Part]) -> str:
    """Return a table for each part, with what a peer takes as a multiple of ours beside it."""
    return "\n\n".join(map(_table, parts))


def _table(part: Part) -> str:
    peers = part.names[1:]
    head = ["", "goal", CUVEE, *(cell for peer in peers for cell in (peer, "× ours"))]
    rows = [head, ["---"] * len(head), *(_row(part, figure, peers) for figure in part.figures)]
    lines = (f"| {' | '.join(cells)} |" for cells in rows)
    return "\n".join((f"**{part.title}.** {part.note}", "", *lines))


def _row(part: Part, figure: Figure, peers: Sequence[str]) -> list[str]:
    own = part.of(figure, CUVEE)
    cells = [figure.label, figure.goal, _told(figure, own)]
    for peer in peers:
        value = part.of(figure, peer)
        cells += [_told(figure, value), f"{value / own:.1f}" if figure.is_compared else ""]
    return cells


def _told(figure: Figure, value: float) -> str:
    return "" if math.isnan(value) else figure.form.format(value)
