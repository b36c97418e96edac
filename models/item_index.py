"""An index over item vectors: of millions, those that fit a shopper best, without scoring each.

The largest inner product becomes the smallest distance once every item has a further number
that makes all equally long (Bachrach et al., "Speeding Up the Xbox Recommender System Using a
Euclidean Transformation for Inner-Product Spaces", RecSys 2014). Distances are faiss's to look
up: an inverted file, whose lists are few enough to look into those near the shopper.

faiss takes as much memory as a small model: it is imported where there is an index.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.errors import BundleError

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

INDEXED_FROM = 20_000
"""Items from which an index of them may be cheaper than scoring each."""

RECALL_AT = 100
LEAST_RECALL = 0.97
"""Share of the best `RECALL_AT` that must be found while building; elsewhere it is a bit less."""

_SAMPLED = 50
"""Items a list from which the lists are learnt."""

_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class ItemIndex:
    """Looks up items by their vectors; `lists` in all, of which `probes` are looked into."""

    found_by: Any
    """The faiss index."""

    @classmethod
    def build(cls, vectors: Floats, users: Floats) -> tuple[Self, float]:
        """Return an index of `vectors` float32[n, rank], and its recall.

        On half of `users` float32[u, rank] it learns how many lists must be looked into, on the
        others the recall at `RECALL_AT` is measured: the share of the best that it finds.
        """
        import faiss  # noqa: PLC0415 - see above

        lists = min(len(vectors), round(2 * len(vectors) ** 0.5))
        lifted = _lifted(vectors)
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(lifted.shape[1]), lifted.shape[1], lists)
        index.cp.niter = _ROUNDS
        index.cp.min_points_per_centroid = 1
        sample = np.random.default_rng(0).permutation(len(lifted))[: _SAMPLED * lists]
        index.train(lifted[sample])
        index.add(lifted)
        made = cls(index)
        best = _best(vectors, users)
        index.nprobe = 1
        while index.nprobe < lists and made._recall(users[::2], best[::2]) < LEAST_RECALL:
            index.nprobe = min(lists, max(index.nprobe + 1, index.nprobe * 5 // 4))
        return made, made._recall(users[1::2], best[1::2])

    @classmethod
    def open(cls, path: Path, items: int, rank: int) -> Self:
        """Return the index in a file, mapped; raise `BundleError` if it is not of such items."""
        import faiss  # noqa: PLC0415 - see above

        faiss.omp_set_num_threads(1)  # others would take the processor from the event loop
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        except Exception as error:  # noqa: BLE001 - its errors have no common base
            raise BundleError(f"{path.name}: no index ({str(error)[:200]})") from None
        found = type(index).__name__, index.ntotal, index.d
        if found != (wanted := ("IndexIVFFlat", items, rank + 1)):
            raise BundleError(f"{path.name}: expected {wanted}, got {found}")
        return cls(index)

    def content(self) -> bytes:
        """Return the content of a file that `open` opens."""
        import faiss  # noqa: PLC0415 - see above

        content: bytes = faiss.serialize_index(self.found_by).tobytes()
        return content

    def nearest(
        self, users: Floats, count: int, closed: npt.NDArray[np.bool_] | None, *, everywhere: bool
    ) -> Rows:
        """Return item rows int64[u, count] for `users` float32[u, rank], -1 where none is found.

        None is among `closed` bool[n]. With `everywhere` the best are found for certain. Where few
        are left open more lists are looked into, since each holds fewer.
        """
        import faiss  # noqa: PLC0415 - see above

        index = self.found_by
        probes, chosen = index.nprobe, None
        if closed is not None:
            bits = np.packbits(~closed, bitorder="little")
            chosen = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg,arg-type]
            probes = -(-probes * len(closed) // max(len(closed) - int(closed.sum()), 1))
        probes = index.nlist if everywhere else min(probes, index.nlist)
        looked = faiss.SearchParametersIVF(sel=chosen, nprobe=probes)  # type: ignore[call-arg]
        found: Rows = index.search(_queries(users), count, params=looked)[1]
        return found

    def _recall(self, users: Floats, best: Rows) -> float:
        found = self.nearest(users, best.shape[1], None, everywhere=False)
        pairs = zip(found.tolist(), best.tolist(), strict=True)
        shares = [len({*told} & {*wanted}) / len(wanted) for told, wanted in pairs]
        return float(np.mean(shares)) if shares else 1.0


def _lifted(vectors: Floats) -> Floats:
    """Return `vectors` with a further number each, after which all are as long as the longest."""
    squares = np.square(vectors).sum(axis=1)
    return np.column_stack((vectors, np.sqrt(squares.max(initial=0) - squares)))


def _queries(users: Floats) -> Floats:
    return np.column_stack((users, np.zeros(len(users), np.float32)))


def _best(vectors: Floats, users: Floats) -> Rows:
    """Return the rows of the best by inner product, int64[u, RECALL_AT], in any order."""
    count = min(RECALL_AT, len(vectors))
    rows = [np.argpartition(-(vectors @ user), count - 1)[:count] for user in users]
    return np.array(rows, np.int64).reshape(len(users), count)
