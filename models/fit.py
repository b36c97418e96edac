"""What is learnt from one log: all but ranker and baskets, as parts that can serve without them."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from features.eventlog import EventLog
from models.candidates import Tower, padded
from models.choices import Choices
from models.dataset import Interactions
from models.export import require_agreement, tower_graph
from models.gram import Gram, gram_of
from models.item_stats import item_stats
from models.item_table import ItemTable
from models.new_items import expected, introduce
from models.parts import Floats, Parts, Personal, Segments
from models.ranker_features import AFFINITIES
from models.segments import Attribute, make_segments
from models.towers import faded, faded_implicit, fit_towers

LEAST_SHOPPERS = 20
"""Shoppers that must have met two items or more, or there is nothing to learn of items."""

_CHECKED = 200
"""Shoppers over whom the exported tower is compared with the original."""


def fit(
    log: EventLog,
    pairs: Interactions,
    catalogue: Catalogue,
    choices: Choices,
    at_ms: int,
    gram: Gram = gram_of,
) -> Parts:
    """Return parts without a ranker, made from `pairs`, all of which lie before `at_ms`.

    `log` tells who the shoppers are. The metrics hold how well the exported tower agrees. Raises
    `ExportError` if it does not.
    """
    personal: Personal | None = None
    agreement: dict[str, float] = {}
    if np.count_nonzero(pairs.counts() > 1) >= LEAST_SHOPPERS:
        personal, agreement = _personal(pairs, catalogue, choices, at_ms, gram)
    return Parts(
        items=ItemTable.of(catalogue),
        segments=_segments(log, pairs, choices, at_ms),
        personal=personal,
        companions=None,
        reference=None,
        metrics=agreement,
        parameters={},
        dataset_version="",
        example_user=None,
    )


def as_of(
    parts: Parts,
    log: EventLog,
    pairs: Interactions,
    catalogue: Catalogue,
    choices: Choices,
    at_ms: int,
) -> Parts:
    """Return parts that tell how items sell as of an earlier moment, before which `pairs` lie.

    What goes together stays what was learnt.
    """
    personal = parts.personal and replace(
        parts.personal, item_stats=_stats(catalogue, pairs, at_ms)
    )
    return replace(parts, segments=_segments(log, pairs, choices, at_ms), personal=personal)


def _segments(log: EventLog, pairs: Interactions, choices: Choices, at_ms: int) -> Segments:
    return make_segments(log, choices.taste, pairs, at_ms, choices.prior, choices.crowds)


def _stats(catalogue: Catalogue, pairs: Interactions, at_ms: int) -> Floats:
    """Return statistics of the items, of those that nobody met what is expected of them."""
    return expected(item_stats(catalogue, pairs, at_ms), catalogue, pairs.met())


def _personal(
    pairs: Interactions, catalogue: Catalogue, choices: Choices, at_ms: int, gram: Gram
) -> tuple[Personal, dict[str, float]]:
    matrix = pairs.matrix()
    met = pairs.met()
    towers, implicit = (
        introduce(fit_towers(grades, choices.regularisation, gram, choices.method), catalogue, met)
        for grades in (faded(pairs, at_ms), faded_implicit(pairs, at_ms))
    )
    graph = tower_graph(towers.inputs.shape[1])
    known = np.flatnonzero(pairs.counts())[:_CHECKED]
    some = matrix[known]
    by = np.repeat(np.arange(len(known)), np.diff(some.indptr))
    _, items, grades = padded(by, some.indices, some.data, len(known))
    told = Tower(graph, towers.inputs).users(items, grades) @ towers.outputs.T
    agreement = require_agreement("tower", list(towers.scores(some)), list(told))
    personal = Personal(
        tower=graph,
        inputs=towers.inputs,
        outputs=towers.outputs,
        implicit_inputs=implicit.inputs,
        implicit_outputs=implicit.outputs,
        ranker=None,
        item_stats=_stats(catalogue, pairs, at_ms),
        item_codes=_codes(choices.affinities, len(catalogue)),
        met=met.astype(np.int32),
    )
    return personal, agreement


def _codes(attributes: tuple[Attribute, ...], items: int) -> npt.NDArray[np.int32]:
    codes = np.full((items, AFFINITIES), -1, np.int32)
    for column, attribute in enumerate(attributes[:AFFINITIES]):
        codes[:, column] = attribute.codes
    return codes
