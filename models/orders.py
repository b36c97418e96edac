"""What orders candidates: learnt in several ways, of which one split of the past chooses.

The same split has the last word on lists as a whole: where what segments buy is better, it serves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from models.examples import Examples
from models.export import ranker_graph, require_agreement, with_short_histories
from models.metrics import is_above_chance, quality
from models.model import Model
from models.parts import Floats, Parts
from models.personal import open_ranker
from models.ranker import Ranker, fit_ranker, ordering, predict, with_trees
from models.replay import popular_lists, ranked_lists
from models.split import Split
from models.timeline import LEARNT_FROM, TEST, VALIDATION, Timeline
from models.validated import LEAST_JUDGED

_COMPARED = 500
"""Shoppers over whose candidates an exported ranker is compared with the original."""

Doubles = npt.NDArray[np.float64]


class Kept(Enum):
    """What orders the candidates of the model that serves; `POPULARITY` serves without any."""

    POPULARITY = "popularity"
    CANDIDATES = "candidates"
    SUM = "sum"
    SHOWN = "shown"
    TREES = "trees"

    @property
    def is_learnt(self) -> bool:
        """Tell whether there is a ranker."""
        return self not in (Kept.POPULARITY, Kept.CANDIDATES)

    def of(self, parts: Parts) -> Parts:
        """Return what of the parts serves: all, or none that is personal."""
        return replace(parts, personal=None) if self is Kept.POPULARITY else parts


@dataclass(frozen=True, slots=True)
class Order:
    """A ranker as a graph, and what became of rows it had not learnt from.

    `by_shopper` float64[n] is NDCG@10 of each of their shoppers, `given` that of the candidates'
    own order, `of_shown` float64[m] that of what was shown, where that tells anything; `agreement`
    is how alike graph and original rank.
    """

    graph: bytes
    by_shopper: Doubles
    given: Doubles
    of_shown: Doubles
    agreement: Mapping[str, float]

    def beats(self, other: Doubles) -> bool:
        """Tell whether it orders better than another order did, by more than chance."""
        return is_above_chance(self.by_shopper - other)

    def knows_better(self, other: "Order") -> bool:
        """Tell whether it orders what was shown better, by more than chance, and all no worse."""
        return (
            len(self.of_shown) >= LEAST_JUDGED
            and is_above_chance(self.of_shown - other.of_shown)
            and float(self.by_shopper.mean()) >= float(other.by_shopper.mean())
        )

    def given_to(self, parts: Parts) -> Parts:
        """Return the parts with this for a ranker."""
        if parts.personal is None:
            return parts
        return replace(parts, personal=replace(parts.personal, ranker=self.graph))


@dataclass(frozen=True, slots=True)
class ChosenOrder:
    """What orders candidates, and NDCG@10 of what was tried, by figure and way."""

    kept: Kept = Kept.CANDIDATES
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def told_beside(self, choices: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was chosen before with this, JSON-able."""
        return {
            **choices,
            "order": self.kept.value,
            "validation": {**choices["validation"], **self.measured},
        }


def choose_order(timeline: Timeline) -> ChosenOrder:
    """Return what orders the candidates of the validation split best, if popularity does not."""
    told, parts = _tried(timeline), timeline.parts(VALIDATION)
    chosen = best_of(told) if told else ChosenOrder()
    if chosen.kept in told:
        parts = told[chosen.kept].given_to(parts)
    return above_floor(chosen, parts, timeline.split(VALIDATION))


def _tried(timeline: Timeline) -> Mapping[Kept, Order]:
    """Return what became of the validation split in each order, none where that is too little."""
    examples = [timeline.examples(each) for each in LEARNT_FROM[VALIDATION]]
    plain = fit_ranker(examples, timeline.seed)
    if plain is None:
        return {}
    rankers = {Kept.SUM: plain, Kept.TREES: with_trees(plain, examples, timeline.seed)}
    if timeline.exposures and (informed := fit_ranker(examples, timeline.seed, shown=True)):
        rankers[Kept.SHOWN] = informed
    checked = timeline.examples(VALIDATION)
    return {kept: _judged(ranker, checked) for kept, ranker in rankers.items()}


def best_of(told: Mapping[Kept, Order]) -> ChosenOrder:
    """Return which of several orders of the same rows is kept; the plain sum is among them.

    A sum that learns from what was shown, too, must know better which of that is wanted. Trees,
    which take many times longer to ask, must beat the sum by more than chance, and what is kept
    must beat the inner product by as much.
    """
    chosen = Kept.SUM
    if Kept.SHOWN in told and told[Kept.SHOWN].knows_better(told[Kept.SUM]):
        chosen = Kept.SHOWN
    if told[Kept.TREES].beats(told[chosen].by_shopper):
        chosen = Kept.TREES
    if not told[chosen].beats(told[chosen].given):
        chosen = Kept.CANDIDATES
    return ChosenOrder(chosen, _measured(told))


def above_floor(chosen: ChosenOrder, parts: Parts, split: Split) -> ChosenOrder:
    """Return what was chosen, or popularity where its lists are better by more than chance.

    `parts` are in the order that was chosen. Who cannot be ranked for is shown the same by both.
    """
    model = Model(parts)
    personal, popular = (
        quality(lists, split.wanted, split.known.met()).by_user
        for lists in (ranked_lists(model, split), popular_lists(model, split))
    )
    kept = Kept.POPULARITY if is_above_chance(popular - personal) else chosen.kept
    by_lists = {"personal": _mean(personal), "segment popularity": _mean(popular)}
    return ChosenOrder(kept, {**chosen.measured, "ndcg@10_by_lists": by_lists})


def _measured(told: Mapping[Kept, Order]) -> Mapping[str, Mapping[str, float]]:
    by_order = {kept.value: _mean(order.by_shopper) for kept, order in told.items()}
    measured = {"order": {Kept.CANDIDATES.value: _mean(told[Kept.SUM].given), **by_order}}
    if Kept.SHOWN in told and len(told[Kept.SHOWN].of_shown):
        of_shown = {kept.value: _mean(order.of_shown) for kept, order in told.items()}
        measured["order_of_what_was_shown"] = of_shown
    return {f"ndcg@10_by_{name}": each for name, each in measured.items()}


def _mean(values: Doubles) -> float:
    return round(float(values.mean()), 5)


def learn_order(timeline: Timeline, cut: float, kept: Kept) -> Order | None:
    """Return the ranker that the past of a cut teaches, None where it holds too little or none is.

    Its export is compared with the original over the last split.
    """
    if not kept.is_learnt:
        return None
    examples = [timeline.examples(each) for each in LEARNT_FROM[cut]]
    return order_of(examples, lambda: timeline.examples(TEST), timeline.seed, kept)


def order_of(
    examples: Sequence[Examples], checked: Callable[[], Examples], seed: int, kept: Kept
) -> Order | None:
    """Return the ranker that `examples` teach, None where there are too few."""
    ranker = fit_ranker(examples, seed, trees=kept is Kept.TREES, shown=kept is Kept.SHOWN)
    return None if ranker is None else _judged(ranker, checked())


def _judged(ranker: Ranker, rows: Examples) -> Order:
    graph, of_shown = ranker_graph(ranker), rows.shown_only()
    told, some = _scores(graph, rows), rows.first(_COMPARED)
    original = with_short_histories(some.features, predict(ranker, some.features))
    agreement = require_agreement(
        "ranker", some.by_shopper(original), some.by_shopper(told[: len(original)])
    )
    return Order(
        graph,
        ordering(rows, told),
        ordering(rows),
        ordering(of_shown, _scores(graph, of_shown)),
        agreement,
    )


def _scores(graph: bytes, examples: Examples) -> Floats:
    scores: Floats = open_ranker(graph).run({"features": examples.features})[:, 0]
    return scores
