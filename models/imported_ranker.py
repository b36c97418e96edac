"""A ranker that was made elsewhere: an ONNX file, looked at before it may order anything.

file ─ size ─ ONNX? ─ no data beside it, no operators but ONNX's ─ opened, inputs and output
     ─ run over candidates of the model it is to order: numbers, the same alone and among others

It is registered byte for byte, as the ranker of another model: candidates, tables and popularity
are that model's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from features.declared import FEATURES
from features.errors import InputError
from features.eventlog import NO_RECORDS
from features.events import MAX_STARS, RECORD, TYPE_CODES, VALUE_SCALE, EventType, Records
from features.feature import Profile
from features.history import GRADED_ITEMS
from features.ids import stable_hashes
from features.moments import Moment
from models.bundle import Lineage, add_bundle
from models.bundle_contents import RANKER
from models.directory import copy_file, write_file
from models.graphs import Graph
from models.manifest import IMPORTED, FileSum, Manifest
from models.metrics import K
from models.model import Model
from models.parts import Floats
from models.personal import open_ranker
from models.ranker_features import RANKER_FEATURES
from models.replay import ANY
from models.request import RankRequest
from models.signature import SigningKey

MOST_BYTES = 256 << 20
"""Of a file: what is larger orders nothing within the time there is for an answer."""

_ORDERED_BY = ("order", "trees")
"""The parameter that tells of the ranker which an imported one takes the place of."""

Random = np.random.Generator

_DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml"))
"""Of operators that ONNX has; which versions of them onnxruntime has, it says itself."""

_MET = (EventType.PURCHASE, EventType.CLICK, EventType.RATING, EventType.ADD_TO_CART)
_PROFILE = tuple(each for each in FEATURES if isinstance(each, Profile))
_SHOPPERS = 32
_MINUTE_MS = 60_000
_DAY_MINUTES = 24 * 60
_YEAR_MINUTES = 365 * _DAY_MINUTES
_YEAR_MS = _YEAR_MINUTES * _MINUTE_MS
_NEAR = 1e-3
"""Share of the range of scores by which one may differ alone and among others: rounding does."""


@dataclass(frozen=True, slots=True)
class ImportedRanker:
    """A ranker that fits: the file as it is, and what it did with a sample of candidates."""

    file: str
    content: bytes
    candidates: int
    distinct_scores: int

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the file, in hex."""
        return sha256(self.content).hexdigest()


def write_imported(
    directory: Path,
    ranker: ImportedRanker,
    base: Manifest,
    lineage: Lineage,
    key: SigningKey | None = None,
) -> str:
    """Write the bundle `base` below `directory` anew, with `ranker` in the place of its own.

    Every other file is copied; what was measured of the order of `base` holds no more. Whoever
    calls holds `base`. It appears whole or not at all, and its version is returned. Raises
    `BundleError` where the disk does not take it.
    """
    source = directory / base.version
    manifest = _manifest(ranker, base, lineage)

    def fetch(name: str, path: Path) -> None:
        if name == RANKER:
            write_file(path, ranker.content)
        else:
            copy_file(source / name, path)

    add_bundle(directory, manifest if key is None else key.sign(manifest), fetch)
    return manifest.version


def _manifest(ranker: ImportedRanker, base: Manifest, lineage: Lineage) -> Manifest:
    export = base.metrics.get("export")
    kept = {name: each for name, each in (export or {}).items() if name != "ranker"}
    told = {name: each for name, each in base.parameters.items() if name not in _ORDERED_BY}
    imported = {"file": ranker.file, "sha256": ranker.sha256, "base": base.version}
    return replace(
        base,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        files={**base.files, RANKER: FileSum.of(ranker.content)},
        metrics={"export": kept} if kept else {},
        parameters={**told, IMPORTED: imported},
        code_revision=lineage.code_revision,
        parent=lineage.parent,
        signature=None,
    ).versioned()


def read_ranker(path: Path, base: Model) -> ImportedRanker:
    """Return the ranker in a file, tried on candidates of `base`.

    Raises `InputError` where `base` has none, `InputError` or `ModelsError` naming the file and
    what does not fit.
    """
    if not base.is_personal:
        raise InputError(
            f"--base: {base.version} has no candidates to order: it had too little data, or "
            "popular lists were better"
        )
    content = _content(path)
    _check_self_contained(path.name, content)
    graph = open_ranker(content, path.name)
    sample = _sample(base)
    scores = _scores(path.name, graph, sample)
    return ImportedRanker(path.name, content, len(scores), len(np.unique(scores)))


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path}: expected a file")
        if size > MOST_BYTES:
            raise InputError(f"{path}: expected at most {MOST_BYTES:,} bytes, got {size:,}")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _check_self_contained(name: str, content: bytes) -> None:
    """Raise `InputError` unless `content` is a graph that needs nothing beside it."""
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        raise InputError(f"{name}: no ONNX file") from None
    if not model.graph.node:
        raise InputError(f"{name}: no ONNX file, or one without a single operator")
    own = {(each.domain, each.name) for each in model.functions}
    others = (each for each in _nodes(model) if each.domain not in _DOMAINS)
    if custom := next((each for each in others if (each.domain, each.op_type) not in own), None):
        raise InputError(
            f"{name}: operator {custom.op_type} of domain {custom.domain}: ONNX does not have it: "
            "expected operators of ONNX alone, of ai.onnx and ai.onnx.ml"
        )
    if outside := next(filter(_is_outside, _tensors(model)), None):
        raise InputError(
            f"{name}: {outside.name or 'a tensor'}: its numbers are in a file beside it (external "
            "data): save the model as one file, onnx.save(model, path, save_as_external_data=False)"
        )


def _is_outside(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data)


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Yield the graph of a model and all within it."""
    yield from (model.graph, *_within(model.graph.node))
    for function in model.functions:
        yield from _within(function.node)


def _within(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that nodes hold, as branches and loops do."""
    for attribute in (each for node in nodes for each in node.attribute):
        inner = [attribute.g] if attribute.HasField("g") else []
        for graph in (*inner, *attribute.graphs):
            yield from (graph, *_within(graph.node))


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for body in (*_graphs(model), *model.functions):
        yield from body.node


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that a model holds."""
    for graph in _graphs(model):
        yield from graph.initializer
        yield from _of_sparse(graph.sparse_initializer)
    for attribute in (each for node in _nodes(model) for each in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        yield from _of_sparse((attribute.sparse_tensor, *attribute.sparse_tensors))


def _of_sparse(tensors: Iterable[onnx.SparseTensorProto]) -> Iterator[onnx.TensorProto]:
    """Yield what sparse tensors are made of."""
    for each in tensors:
        yield from (each.values, each.indices)


def _sample(base: Model) -> list[Floats]:
    """Return what a ranker would see of the candidates of some shoppers of `base`, each float32."""
    random = np.random.default_rng(0)
    longest = min(GRADED_ITEMS, len(base))
    requests = []
    for events in random.integers(1, longest + 1, _SHOPPERS).tolist():
        moment = _moment(random)
        records = _done(base, events, moment.as_of_ms, random)
        requests.append(RankRequest("", records, NO_RECORDS, moment, K, ANY))
    told = base.ranker_inputs(base.batch(requests))
    sample = [each[1] for each in told if each is not None and len(each[1])]
    return sample or [np.zeros((1, len(RANKER_FEATURES)), np.float32)]


def _moment(random: Random) -> Moment:
    """Return any moment of a year; half of the shoppers tell where they are, and are known."""
    as_of_ms = 2 * _YEAR_MS + int(random.integers(_YEAR_MS))
    if random.random() < 0.5:
        return Moment(as_of_ms)
    told = random.integers(0, 100, len(_PROFILE), endpoint=True).tolist()
    profile = {each.name: min(x, each.high) for each, x in zip(_PROFILE, told, strict=True)}
    home, away = "FR", "IT"
    country = home if random.random() < 0.5 else away
    return Moment(as_of_ms, country, random.uniform(-90, 90), {"country": home, **profile})


def _done(base: Model, events: int, until_ms: int, random: Random) -> Records:
    """Return what was done with items: the first was bought, the others met anyhow.

    From one to the next it took a minute or a day, and since the last a minute or a year.
    """
    apart, since = (int(longest ** random.random()) for longest in (_DAY_MINUTES, _YEAR_MINUTES))
    rows = random.permutation(len(base))[:events].tolist()
    records = np.zeros(events, RECORD)
    records["ts"] = until_ms - _MINUTE_MS * (since + apart * np.arange(events)[::-1])
    records["item"] = stable_hashes(base.item_id(row) for row in rows)
    records["value"] = random.integers(1, MAX_STARS, events, endpoint=True) * VALUE_SCALE
    records["tag"] = random.choice([TYPE_CODES[each] for each in _MET], events)
    records["tag"][0] = TYPE_CODES[EventType.PURCHASE]
    return records


def _scores(name: str, graph: Graph, sample: list[Floats]) -> Floats:
    """Return the scores of a sample; raise `ModelsError` where they are none.

    A run holds the candidates of several shoppers: no score may depend on its neighbours.
    """
    together = graph.run({"features": np.concatenate(sample)})[:, 0]
    alone = np.concatenate([graph.run({"features": each})[:, 0] for each in sample])
    furthest = float(np.abs(together - alone).max())
    if furthest > _NEAR * float(np.ptp(alone)) + 1e-6 * float(np.abs(alone).max()):
        raise InputError(
            f"{name}: scores of equal rows differ by up to {furthest:.3g} with what else is in the "
            "run: expected each row to be scored by itself, the same each time"
        )
    return together
