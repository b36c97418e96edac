"""The personal part of a model: candidates by taste, put in order by the ranker."""

from typing import TypeAlias

import numpy as np

from models.batch import Batch
from models.candidates import CANDIDATES, Chosen, Tower, best
from models.errors import ModelsError
from models.graphs import Graph
from models.items import Items, Mask
from models.parts import Floats, Personal, Rows
from models.pauses import pause
from models.ranker_features import (
    ITEM_STATS,
    RANKER_FEATURES,
    ItemSide,
    ShopperSide,
    ranker_matrix,
)
from models.reasons import IN_RANGE, Kind, because
from models.reference.scores import FIRST
from models.request import Listed
from models.retrieval import Retrieval
from models.segment_table import SegmentTable

Places: TypeAlias = Rows | slice
"""Numbers of shoppers in a batch."""

ALL = slice(None)

_VIEWED = because(Kind.VIEWED_BEFORE)
"""Why an item is shown that speaks for itself: who did more than look at it is not shown it."""


class PersonalRanker:
    """Ranks items for shoppers; a batch costs one run of each graph.

    Raises `ModelsError` where a graph fails or gives what is no number.
    """

    def __init__(self, personal: Personal, items: Items, segments: SegmentTable) -> None:
        """Open the graphs; raise `BundleError` where they do not fit `items`."""
        self._tower = Tower(personal.tower, personal.inputs)
        pause()
        self._retrieval = Retrieval(personal.outputs, items, personal.index)
        self._ranker = None if personal.ranker is None else open_ranker(personal.ranker)
        pause()
        self._segments = segments
        self._inputs = personal.inputs
        self._outputs = personal.outputs
        self._met = personal.met
        self._sides = ItemSide.of(
            personal.outputs,
            (personal.implicit_inputs, personal.implicit_outputs),
            personal.item_codes,
            personal.item_stats,
        )

    @property
    def met_by(self) -> Floats:
        """Return float32[items]: by how many shoppers each item was met."""
        if self._met is not None:
            return self._met.astype(np.float32)
        met: Floats = np.rint(np.expm1(self._sides.stats[:, ITEM_STATS.index("log_events")]))
        return met

    @property
    def has_index(self) -> bool:
        """Tell whether there is a choice of how to find candidates."""
        return self._retrieval.has_index

    @property
    def is_exact(self) -> bool:
        """Tell whether candidates come from scoring every item."""
        return self._retrieval.is_exact

    @property
    def has_ranker(self) -> bool:
        """Tell whether candidates are put in order by a ranker."""
        return self._ranker is not None

    def score(self, features: Floats) -> Floats:
        """Return the ranker's scores float32[n, 1]; raise `ModelsError` if there is none, too."""
        if self._ranker is None:
            raise ModelsError("there is no ranker")
        return self._ranker.run({"features": features})

    def choose_retrieval(self, batch: Batch) -> None:
        """Measure the ways to find candidates, and keep the one that serves."""
        self._retrieval.choose(self.users(batch), batch, CANDIDATES)

    def rank(self, batch: Batch) -> list[Listed | None]:
        """Return for each shopper the best k items that are allowed, None without a history."""
        most = max(each.k for each in batch.requests)
        users = self.users(batch)
        if self._ranker is None:
            wide = self.candidates(users, batch, max(FIRST, most))
            batch.scored(ALL, wide.scores)
            chosen = Chosen(wide.rows[:, :most], wide.scores[:, :most])
        else:
            wide = self.candidates(users, batch, max(CANDIDATES, most))
            columns, scores = best(self.scores(batch, wide), most)
            chosen = Chosen(np.take_along_axis(wide.rows, columns, axis=1), scores)
        return _listed(batch, chosen, self.sources(batch, chosen.rows))

    def ranker_inputs(self, batch: Batch) -> list[tuple[Rows, Floats] | None]:
        """Return what the ranker sees of each shopper's candidates, None without a history."""
        chosen = self.candidates(self.users(batch), batch, CANDIDATES)
        matrices = self._matrices(batch, chosen, ALL)
        there = chosen.scores > -np.inf
        return [
            (rows[stands], matrix[stands]) if count else None
            for rows, matrix, stands, count in zip(
                chosen.rows, matrices, there, batch.counts.tolist(), strict=True
            )
        ]

    def nearest(self, index: int, allowed: Mask, k: int) -> Listed | None:
        """Return the k allowed items whose factors point most the way of the item in row `index`.

        None where that item points nowhere, since nobody has met it.
        """
        (direction,) = self._sides.directions(np.array([index]))
        if not direction.any():
            return None
        scores = self._sides.likeness(direction)
        scores[~allowed] = -np.inf
        chosen = best(scores[None], k)
        there = int((chosen.scores > -np.inf).sum())
        rows, told = chosen.rows[0, :there], chosen.scores[0, :there]
        sources = np.where(told > 0, index, IN_RANGE)  # what points elsewhere is not similar
        return Listed(rows.tolist(), told.tolist(), sources.tolist())

    def users(self, batch: Batch) -> Floats:
        """Return the shoppers' vectors, float32[b, rank]."""
        return self._tower.users(batch.items, batch.grades)

    def candidates(self, users: Floats, batch: Batch, count: int) -> Chosen:
        """Return the `count` items that fit best, of whom nothing is known none with a score."""
        chosen = self._retrieval.candidates(users, batch, count)
        if np.count_nonzero(batch.counts) < len(batch):
            chosen.scores[batch.counts == 0] = -np.inf  # nothing to rank by: nothing to compute
        return chosen

    def fit(self, users: Floats, rows: Rows) -> Floats:
        """Return float32[g, x]: the inner products of `users` [g, rank] and items int64[x]."""
        fit: Floats = users @ self._outputs.take(rows, axis=0).T
        return fit

    def directions(self, rows: Rows) -> Floats:
        """Return the items' factors as long as 1, or 0 where nobody met them."""
        return self._sides.directions(rows)

    def scores(self, batch: Batch, chosen: Chosen, places: Places = ALL) -> Floats:
        """Return float32[g, c]: by what candidates are ordered, -inf for what is not there.

        They are those of the shoppers in `places`; those of the first `CANDIDATES` are kept.
        """
        scores = self._scores(batch, chosen, places)
        batch.scored(places, scores[:, :CANDIDATES])
        return scores

    def _scores(self, batch: Batch, chosen: Chosen, places: Places) -> Floats:
        if self._ranker is None:
            return chosen.scores
        there = chosen.scores > -np.inf
        scores = np.full(there.shape, -np.inf, np.float32)
        if there.any():
            matrices = self._matrices(batch, chosen, places)
            rows = matrices.reshape(-1, matrices.shape[2]) if there.all() else matrices[there]
            scores[there] = self._ranker.run({"features": rows})[:, 0]
        return scores

    def _matrices(self, batch: Batch, chosen: Chosen, places: Places) -> Floats:
        side = ShopperSide(batch.met[places], batch.liked[places], batch.vectors()[places])
        popularity = self._segments.shares(batch.segments[places], chosen.rows)
        scores = np.where(chosen.scores > -np.inf, chosen.scores, 0)
        return ranker_matrix(self._sides, side, chosen.rows, scores, popularity)

    def sources(self, batch: Batch, rows: Rows, places: Places = ALL) -> Rows:
        """Return why each of `rows` int64[g, k] is shown: what adds most to its inner product.

        That is a graded item of the shopper's, maybe itself, or where none adds to it, that it is
        popular, if it is. `places` are the numbers of the shoppers.
        """
        met, liked, reasons = batch.met[places], batch.liked[places], batch.reasons()[places]
        told = self._inputs.take(met, axis=0) * liked[..., None]
        parts = self._outputs.take(rows, axis=0) @ told.swapaxes(1, 2)
        loudest, adds = parts.argmax(axis=2), parts.max(axis=2) > 0
        shoppers = np.arange(len(met))[:, None]
        speaks = np.where(met[shoppers, loudest] == rows, _VIEWED, reasons[shoppers, loudest])
        if np.count_nonzero(adds) == adds.size:  # as nearly always
            return speaks
        segments = batch.segments[places][:, None]
        return np.where(adds, speaks, self._segments.sources(segments, rows))


def open_ranker(model: bytes, name: str = "ranker.onnx") -> Graph:
    """Return the ranker in `model`; raise `BundleError` where it is none of this program's."""
    inputs = {"features": ("tensor(float)", (None, len(RANKER_FEATURES)))}
    return Graph(name, model, inputs, (None, 1))


def _listed(batch: Batch, chosen: Chosen, sources: Rows) -> list[Listed | None]:
    width, there = chosen.rows.shape[1], (chosen.scores > -np.inf).sum(axis=1).tolist()
    columns = (chosen.rows.tolist(), chosen.scores.tolist(), sources.tolist())
    listed: list[Listed | None] = []
    for request, graded, most, *told in zip(
        batch.requests, batch.counts.tolist(), there, *columns, strict=True
    ):
        end = min(request.k, most)
        if not graded:
            listed.append(None)
        elif end == width:  # as nearly all
            listed.append(Listed(*told))
        else:
            listed.append(Listed(*(column[:end] for column in told)))
    return listed
