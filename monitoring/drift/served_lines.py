"""The served log, read on from where it was read to: whole lines, a bounded part at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.declared import FEATURE_SET
from features.ids import stable_hashes
from features.skew.served import FOLDER, Served, parse
from models.reference.rows import Rows, slots_of
from models.reference.sample import COUNTRY
from models.reference.scores import columns
from monitoring.drift.columns import Bools, Floats

PART_BYTES = 4 * 2**20
"""Read at once; some ten thousand lines."""


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of the log `name`, from byte `start` to byte `end`."""

    name: str
    start: int
    end: int
    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ServedRows:
    """What lines say: `at_ms` int64[n] of each row, and the number of lines that are none.

    Of rows bool[n] `with_features` a model used features, and those in `scored` have scores of the
    version that was asked for. `strange` are of other declarations of features, `unreadable` of
    none at all.
    """

    rows: Rows
    at_ms: np.ndarray[tuple[int], np.dtype[np.int64]]
    with_features: Bools
    scored: Bools
    strange: int
    unreadable: int


def logs(home: Path, since_ms: int) -> list[Path]:
    """Return the logs that were written to since a moment, the oldest first."""
    found = []
    for path in sorted((home / FOLDER).glob("*.jsonl")):
        try:
            if path.stat().st_mtime * 1_000 >= since_ms:
                found.append(path)
        except FileNotFoundError:  # removed for its age, just now
            continue
    return found


def unread(home: Path, since_ms: int, positions: Mapping[str, int]) -> Iterator[Part]:
    """Yield what was not read yet of the logs, in parts; a line that is being written waits."""
    for path in logs(home, since_ms):
        at = positions.get(path.name, 0)
        while (part := _part(path, at)) is not None:
            yield part
            at = part.end


def rows_of(lines: tuple[bytes, ...], version: str = "") -> ServedRows:
    """Return the rows that lines tell of, with the scores of model `version`."""
    parsed = [parse(line) for line in lines]
    told = [each for each in parsed if each is not None]
    rows = [each for each in told if _is_ours(each)]
    at_ms = np.array([each.at_ms for each in rows], np.int64)
    scores = [_scores(each, version) for each in rows]
    homes = np.array([each.home for each in rows], object)
    shoppers = stable_hashes(each.user_id for each in rows)
    return ServedRows(
        Rows(shoppers, slots_of(at_ms), {**_features(rows), **columns(scores), COUNTRY: homes}),
        at_ms,
        np.array([bool(each.values) for each in rows], np.bool_),
        np.array([each is not None for each in scores], np.bool_),
        len(told) - len(rows),
        len(parsed) - len(told),
    )


def _is_ours(served: Served) -> bool:
    many = len(served.values)
    return served.schema == FEATURE_SET.schema_hash and many in (0, len(FEATURE_SET.names))


def _features(rows: Sequence[Served]) -> dict[str, Floats]:
    names = FEATURE_SET.names
    none = [None] * len(names)
    table = np.array([each.values or none for each in rows], np.float64).reshape(-1, len(names))
    return dict(zip(names, table.T, strict=True))


def _scores(served: Served, version: str) -> tuple[float, float] | None:
    if not version or served.version != version or served.scores is None:
        return None
    try:
        level, spread = map(float, served.scores)
    except (TypeError, ValueError):  # no log of ours
        return None
    return level, spread


def _part(path: Path, at: int) -> Part | None:
    try:
        with path.open("rb") as file:
            file.seek(at)
            content = file.read(PART_BYTES)
    except FileNotFoundError:
        return None
    whole = content.rfind(b"\n") + 1
    if not whole and len(content) == PART_BYTES:
        whole = len(content)  # no line of ours is that long
    if not whole:
        return None
    return Part(path.name, at, at + whole, tuple(content[:whole].splitlines()))
