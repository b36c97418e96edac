"""The personal part of a model: candidates by taste, put in order by the ranker."""

import numpy as np

from models.batch import Batch
from models.candidates import CANDIDATES, Chosen, Tower, best
from models.graphs import Graph
from models.items import Items, Mask
from models.parts import Floats, Personal, Rows
from models.ranker_features import (
    RANKER_FEATURES,
    ItemSide,
    ShopperSide,
    ranker_matrix,
)
from models.request import POPULAR, POPULAR_IN_SEGMENT, Listed
from models.retrieval import Retrieval
from models.segment_table import GLOBAL, SegmentTable


class PersonalRanker:
    """Ranks items for shoppers; a batch costs one run of each graph.

    Raises `ModelsError` where a graph fails or gives what is no number.
    """

    def __init__(self, personal: Personal, items: Items, segments: SegmentTable) -> None:
        """Open the graphs; raise `BundleError` where they do not fit `items`."""
        self._tower = Tower(personal.tower, personal.inputs)
        self._retrieval = Retrieval(personal.outputs, items, personal.index)
        self._ranker = None if personal.ranker is None else open_ranker(personal.ranker)
        self._segments = segments
        self._inputs = personal.inputs
        self._outputs = personal.outputs
        self._sides = ItemSide.of(
            personal.outputs,
            (personal.implicit_inputs, personal.implicit_outputs),
            personal.item_codes,
            personal.item_stats,
        )

    @property
    def has_index(self) -> bool:
        """Tell whether there is a choice of how to find candidates."""
        return self._retrieval.has_index

    @property
    def is_exact(self) -> bool:
        """Tell whether candidates come from scoring every item."""
        return self._retrieval.is_exact

    def choose_retrieval(self, batch: Batch) -> None:
        """Measure the ways to find candidates, and keep the one that serves."""
        users = self._tower.users(batch.items, batch.grades)
        self._retrieval.choose(users, batch, CANDIDATES)

    def rank(self, batch: Batch) -> list[Listed | None]:
        """Return for each shopper the best k items that are allowed, None without a history."""
        most = max(each.k for each in batch.requests)
        if self._ranker is None:
            chosen = self._candidates(batch, most)
        else:
            wide = self._candidates(batch, max(CANDIDATES, most))
            chosen = _reordered(self._ranker, wide, self._matrices(batch, wide), most)
        return _listed(batch, chosen, self._sources(batch, chosen.rows))

    def ranker_inputs(self, batch: Batch) -> list[tuple[Rows, Floats] | None]:
        """Return what the ranker sees of each shopper's candidates, None without a history."""
        chosen = self._candidates(batch, CANDIDATES)
        matrices = self._matrices(batch, chosen)
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
        rows, told = chosen.rows[0, :there].tolist(), chosen.scores[0, :there].tolist()
        return Listed(rows, told, [index] * there)

    def _candidates(self, batch: Batch, count: int) -> Chosen:
        users = self._tower.users(batch.items, batch.grades)
        chosen = self._retrieval.candidates(users, batch, count)
        chosen.scores[batch.counts == 0] = -np.inf  # nothing to rank by: nothing to compute
        return chosen

    def _matrices(self, batch: Batch, chosen: Chosen) -> Floats:
        side = ShopperSide(batch.met, batch.liked, batch.vectors())
        popularity = self._segments.shares(batch.segments, chosen.rows)
        scores = np.where(chosen.scores > -np.inf, chosen.scores, 0)
        return ranker_matrix(self._sides, side, chosen.rows, scores, popularity)

    def _sources(self, batch: Batch, rows: Rows) -> Rows:
        """Return for each of `rows` the other graded item that adds most to its score, int64[b, k].

        Where none adds to it, what kind of popular it is.
        """
        met = batch.met
        told = self._inputs.take(met, axis=0) * batch.liked[..., None]
        parts = self._outputs.take(rows, axis=0) @ told.swapaxes(1, 2)
        parts[rows[..., None] == met[:, None]] = 0  # that it is like itself explains nothing
        loudest = parts.argmax(axis=2)
        shoppers = np.arange(len(met))[:, None]
        adds = parts[shoppers, np.arange(rows.shape[1]), loudest] > 0
        otherwise = np.where(batch.segments == GLOBAL, POPULAR, POPULAR_IN_SEGMENT)[:, None]
        return np.where(adds, met[shoppers, loudest], otherwise)


def open_ranker(model: bytes, name: str = "ranker.onnx") -> Graph:
    """Return the ranker in `model`; raise `BundleError` where it is none of this program's."""
    inputs = {"features": ("tensor(float)", (None, len(RANKER_FEATURES)))}
    return Graph(name, model, inputs, (None, 1))


def _reordered(ranker: Graph, chosen: Chosen, matrices: Floats, count: int) -> Chosen:
    """Return the best `count` candidates as the ranker scores them, ties in the order they had."""
    there = chosen.scores > -np.inf
    scores = np.full(there.shape, -np.inf, np.float32)
    if there.any():
        rows = matrices.reshape(-1, matrices.shape[2]) if there.all() else matrices[there]
        scores[there] = ranker.run({"features": rows})[:, 0]
    columns, told = best(scores, count)
    return Chosen(np.take_along_axis(chosen.rows, columns, axis=1), told)


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
