"""What each shopper wanted last, left out: how that is judged, and what a ranker learns of it.

    log ─ without what each wanted last ─┬─ the figures
                                         └─ without what of that each wanted last ─ a ranker's rows

Shoppers are asked for at moments of their own, over years. What goes together is learnt from all
that is left, whoever did it later. How items sell is told as of a moment before each is asked for,
as it would have been then; as of the end, what sold of late would be sales still to come.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from models.comparison import Others
from models.evaluate import Figures, evaluate_all
from models.examples import Examples, examples_of
from models.fit import as_of, fit
from models.model import Model
from models.parts import Parts
from models.split import Split, leave_last_out
from models.timeline import Timeline

MOMENTS = 50
"""As of so many moments it is told how items sell, each for as many shoppers. With fewer, what sold
of late is long ago by the time the last of them is asked for; more cost as much again."""


def figures_left_out(timeline: Timeline, parts: Parts, split: Split, others: Others) -> Figures:
    """Return the figures of what was left out; `parts` were learnt from all else, `timeline`."""
    told = _in_time(split)
    return evaluate_all(_pieces(timeline, parts, told), split.known.met(), others(told))


def examples_left_out(timeline: Timeline) -> Examples:
    """Return what a ranker learns from what shoppers wanted last."""
    split = _in_time(leave_last_out(timeline.log, timeline.catalogue))
    parts = fit(
        split.past,
        split.known,
        timeline.catalogue,
        timeline.choices,
        split.cut_ms,
        timeline.gram,
    )
    pieces = _pieces(timeline, parts, split)
    return Examples.joined([examples_of(Model(sold), asked) for sold, asked in pieces])


def _in_time(split: Split) -> Split:
    """Return the split with its shoppers in the order in which they are asked for."""
    return split if split.asked_ms is None else split.some(np.argsort(split.asked_ms))


def _pieces(timeline: Timeline, parts: Parts, split: Split) -> Iterator[tuple[Parts, Split]]:
    """Yield the shoppers of a split, in their order, with what was known before the first."""
    catalogue, choices = timeline.catalogue, timeline.choices
    for places in np.array_split(np.arange(len(split)), MOMENTS):
        asked = split.some(places)
        if asked.asked_ms is None or not len(asked):
            continue
        at_ms = int(asked.asked_ms[0])
        known = split.known.only(split.known.ts < at_ms)
        sold = as_of(parts, split.past, known, catalogue, choices, at_ms)
        yield sold, replace(asked, known=known, cut_ms=at_ms, met=split.known)
