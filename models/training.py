"""From events to what serving needs: measured on a temporal split, then made from all of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from features.declared import FEATURES_FILE
from features.errors import InputError
from features.lists.exposures import seen
from features.offline.store import OfflineStore
from models.baskets import companions
from models.comparison import Comparison, Others, compare, nobody_else
from models.engine import LOCAL, Engine
from models.evaluate import Figures
from models.item_index import INDEXED_FROM, RECALL_AT, ItemIndex
from models.left_out import examples_left_out, figures_left_out
from models.manifest import MADE_WITH
from models.model import Model
from models.orders import ChosenOrder, Kept, choose_order, learn_order, order_of
from models.parts import FORGOTTEN_MS, LEARNT_UNTIL_MS, Floats, Parts, Personal
from models.ranker import TREES
from models.reference.sample import sample_rows
from models.split import leave_last_out
from models.stages import Stages
from models.timeline import NOW, TEST, VALIDATION, Timeline
from models.towers import RANK
from models.training_log import training_log
from models.validated import VALIDATED
from models.validation import Against, validate

EXAMPLE_HISTORY = 12
"""Items that the example shopper should know: enough to see why they are shown what they are."""

_ASKED_FOR = 1_000
"""Shoppers over whom an index of items learns how far to look."""

STEPS = 8
"""At most so many steps does `train` name."""

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """What would have come of training earlier; `comparison` None where too few can be judged."""

    comparison: Comparison | None
    chosen: ChosenOrder
    parts: Parts | None = None
    """What was learnt then, where it was judged."""

    @property
    def figures(self) -> Figures | None:
        """Return the figures of shoppers with a history."""
        return self.comparison.figures if self.comparison else None


def read(
    store: OfflineStore, seed: int, stages: Stages | None = None, engine: Engine = LOCAL
) -> Timeline:
    """Return the past of a store; raise `InputError` where there are no items."""
    catalogue = store.catalogue()
    if not len(catalogue):
        raise InputError(
            f"no items to train on in {store.home}: take yours in with python -m features ingest, "
            "or make the demo shop with python -m features simulate"
        )
    stages = stages or Stages()
    log = training_log(store, stages, engine.read)
    return Timeline(log, catalogue, seed, stages, engine.gram, partial(seen, store))


def one_thread() -> AbstractContextManager[object]:
    """Let algebra keep to one thread: sums of floats are others where they are divided otherwise.

    So numbers do not depend on how many cores there are, and no thread spins for another on those
    that somebody else wants.
    """
    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def train(
    store: OfflineStore,
    *,
    seed: int = 0,
    step: Step = lambda _: None,
    stages: Stages | None = None,
    engine: Engine = LOCAL,
    against: Against | None = None,
) -> Parts:
    """Return everything that serving needs; the same data and seed give the same numbers.

    `step` is called with the name of each step as it begins. What is in `stages` is not made
    again. Whichever `engine` there is, the numbers are the same. How it does beside `against`
    stands in the metrics. Raises `InputError` for an empty catalogue, `ExportError` where a graph
    does not rank as what it was made from, `EngineError` where the engine fails.
    """
    with one_thread():
        return _trained(store, seed, step, stages or Stages(), engine, against)


def _trained(
    store: OfflineStore,
    seed: int,
    step: Step,
    stages: Stages,
    engine: Engine,
    against: Against | None,
) -> Parts:
    step("reading")
    forgotten_ms = store.forgotten().latest_ms  # first: what is noted later may be learnt from
    version = store.version()
    timeline = read(store.at(version), seed, stages, engine)
    trial = try_out(timeline, step)
    metrics = trial.comparison.told() if trial.comparison else {}
    if against is not None:
        step("comparing with what serves")
        metrics[VALIDATED] = validate(timeline, trial.parts, against).told()
    step("learning from everything")
    parts, agreement = learn(timeline, NOW, trial.chosen.kept)
    if parts.personal is not None and len(parts.items) >= INDEXED_FROM:
        step("indexing items")
        index, recall = ItemIndex.build(parts.personal.outputs, _users(timeline, parts.personal))
        parts = replace(parts, personal=replace(parts.personal, index=index))
        agreement["index"] = {f"recall@{RECALL_AT}": round(recall, 4)}
    step("describing what is normal")
    return replace(
        parts,
        companions=companions(timeline.log, timeline.catalogue),
        reference=sample_rows(timeline.log, timeline.moment(NOW), Model(parts)),
        metrics={**metrics, "export": agreement},
        parameters={
            **_parameters(timeline, trial),
            FORGOTTEN_MS: forgotten_ms,
            LEARNT_UNTIL_MS: timeline.moment(NOW),
        },
        dataset_version=version,
        example_user=_example_user(timeline),
    )


def try_out(timeline: Timeline, step: Step = lambda _: None, others: Others = nobody_else) -> Trial:
    """Return what would have come of training on the first nine tenths of the past.

    The validation split decides what orders candidates, and whether popularity serves instead; the
    last one, which gives the figures, decides nothing.
    """
    step("choosing")
    if not timeline.can_be_judged or timeline.parts(VALIDATION).personal is None:
        return Trial(None, ChosenOrder())
    step("learning an order")
    chosen = choose_order(timeline)
    parts, _ = learn(timeline, TEST, chosen.kept)
    step("evaluating")
    return Trial(compare(timeline, parts, others), chosen, parts)


def try_left_out(
    timeline: Timeline, step: Step = lambda _: None, others: Others = nobody_else
) -> Comparison:
    """Return what comes of training without what each shopper wanted last."""
    step("leaving out")
    left_out = leave_last_out(timeline.log, timeline.catalogue)
    before = Timeline(left_out.past, timeline.catalogue, timeline.seed)
    step("learning without what was left out")
    parts = before.parts(NOW)
    kept = choose_order(before).kept if before.can_be_judged else Kept.CANDIDATES
    if kept.is_learnt:
        rows = examples_left_out(before)
        if order := order_of([rows], lambda: rows, before.seed, kept):
            parts = order.given_to(parts)
    step("evaluating")
    return Comparison(figures_left_out(before, kept.of(parts), left_out, others))


def learn(timeline: Timeline, cut: float, kept: Kept) -> tuple[Parts, dict[str, Any]]:
    """Return what is learnt before `cut`, and how well each graph agrees with its original."""
    parts = timeline.parts(cut)
    if kept is Kept.POPULARITY:
        return kept.of(parts), {}
    agreement: dict[str, Any] = {"tower": parts.metrics}
    if order := learn_order(timeline, cut, kept):
        parts = order.given_to(parts)
        agreement["ranker"] = order.agreement
    return parts, agreement


def _users(timeline: Timeline, personal: Personal) -> Floats:
    """Return the vectors of shoppers, evenly from all who met something, float32[u, rank]."""
    matrix = timeline.pairs.matrix()
    known = np.flatnonzero(timeline.pairs.counts())
    some = np.unique(np.linspace(0, len(known) - 1, _ASKED_FOR).astype(int))
    users: Floats = matrix[known[some]] @ personal.inputs
    return users


def _parameters(timeline: Timeline, trial: Trial) -> dict[str, Any]:
    return {
        "seed": timeline.seed,
        MADE_WITH: FEATURES_FILE,
        "rank": RANK,
        "trees": TREES if trial.chosen.kept is Kept.TREES else 0,
        "pairs": len(timeline.pairs),
        "shoppers": len(timeline.log.user_ids),
        "exposures": len(timeline.exposures) if timeline.can_be_judged else 0,
        **trial.chosen.told_beside(timeline.choices.told()),
    }


def _example_user(timeline: Timeline) -> str | None:
    """Return a shopper with a history of a telling length, the first by id of the best."""
    counts = timeline.pairs.counts()
    if not counts.any():
        return None
    return timeline.log.user_ids[int(np.abs(counts - EXAMPLE_HISTORY).argmin())]
