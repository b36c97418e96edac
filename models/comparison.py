"""What training is worth, asked in several ways: of whom, of which items, and on which split."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from models.audiences import (
    ANONYMOUS,
    COLD,
    NEW_ITEMS,
    NEWCOMERS,
    ON_A_PAGE,
    ONLY_NEW,
    ROLLING,
    anonymous,
    cold,
    new_items,
    newcomers,
    on_a_page,
    only_new,
    taken_for_new,
)
from models.evaluate import Figures, evaluate
from models.fit import fit
from models.parts import Parts, Rows
from models.rolling import rolling_figures
from models.segments import markets_of
from models.split import Split, temporal_split
from models.timeline import NOW, TEST, Timeline
from models.validated import LEAST_JUDGED

Others = Callable[[Split], Mapping[str, list[Rows]]]
"""Further lists for the shoppers of a split, by name."""


def nobody_else(_split: Split) -> Mapping[str, list[Rows]]:
    """Return no further lists."""
    return {}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of shoppers with a history, and of each audience that is large enough to judge."""

    figures: Figures
    audiences: Mapping[str, Figures] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return all figures, JSON-able."""
        return {
            **self.figures.told(),
            "by_segment": self.figures.by_segment(),
            "audiences": {name: each.told() for name, each in self.audiences.items()},
        }


def compare(timeline: Timeline, parts: Parts, others: Others = nobody_else) -> Comparison:
    """Return what `parts`, trained at the last cut, are worth in what came after it."""
    split = timeline.split(TEST)
    return Comparison(evaluate(parts, split, others(split)), _of_audiences(timeline, parts, others))


def _of_audiences(timeline: Timeline, parts: Parts, others: Others) -> dict[str, Figures]:
    told = {
        name: evaluate(served, split, others(split))
        for name, split, served in _audiences(timeline, parts)
        if len(split) >= LEAST_JUDGED
    }
    spans = [*timeline.newcomers, timeline.came(TEST)]
    if sum(map(len, spans[1:])) >= LEAST_JUDGED:
        told[ROLLING] = rolling_figures(spans, markets_of(timeline.log)[0])
    return told


def _audiences(timeline: Timeline, parts: Parts) -> Iterator[tuple[str, Split, Parts]]:
    """Yield each audience, its split and what is judged: one by one, each knows all pairs."""
    log, catalogue = timeline.log, timeline.catalogue
    span = timeline.moment(TEST), timeline.moment(NOW)
    yield COLD, cold(log, catalogue, *span), parts
    yield NEWCOMERS, newcomers(log, catalogue, *span), parts
    yield ON_A_PAGE, on_a_page(timeline.split(TEST), catalogue), parts
    yield ANONYMOUS, anonymous(timeline.split(TEST), catalogue), parts
    yield from _of_new_items(timeline, parts)


def _of_new_items(timeline: Timeline, parts: Parts) -> list[tuple[str, Split, Parts]]:
    """Return the splits of new items, and what is learnt where they are new.

    The ranker is that of `parts`: it knows no item by name. Where nothing of those is personal,
    nothing here is.
    """
    log, catalogue, start = timeline.log, timeline.catalogue, timeline.moment(TEST)
    gone = taken_for_new(catalogue)
    split = new_items(temporal_split(log, catalogue, start, timeline.moment(NOW), gone=gone))
    served = fit(log, split.known, catalogue, timeline.choices, start, timeline.gram)
    if parts.personal is None:
        served = replace(served, personal=None)
    elif served.personal is not None:
        personal = replace(served.personal, ranker=parts.personal.ranker)
        served = replace(served, personal=personal)
    return [
        (NEW_ITEMS, split, served),
        (ONLY_NEW, only_new(split, catalogue), served),
    ]
