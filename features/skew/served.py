"""What serving really used of a shopper, as it is logged: a line of JSON for a sample of answers.

    CUVEE_HOME/served/20261126T14-4711.jsonl      an hour of one process; removed after a week

`features.skew.skew` computes the same from the tables and compares.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from features.errors import StoreError
from features.whole_file import named

FOLDER = "served"
SKEW_REPORT = Path("run") / "skew.json"
"""Below CUVEE_HOME: what the latest comparison with the tables found."""

KEPT_S = 7 * 86_400
"""How long a file is kept."""


@dataclass(frozen=True, slots=True)
class Served:
    """The features and scores of one answer.

    `at_ms` is when they were computed, by the server's clock, and `as_of_ms` for which moment;
    `values` has None for what was missing, and nothing where the model used no features; `schema`
    is the hash of the declarations.
    """

    user_id: str
    at_ms: int
    as_of_ms: int
    country: str | None
    latitude: float | None
    schema: str
    values: list[float | None]
    home: str | None = None
    """Where the shopper is, else lives."""

    recommendation_id: str | None = None
    """The answer that came of it, if it came in time."""

    version: str = ""
    """Of the model that ranked."""

    scores: Sequence[float] | None = None
    """What the scores come down to (`models.reference.scores`); None where nothing was ranked, or
    not as usual."""

    def line(self) -> bytes:
        """Return it as a line."""
        return orjson.dumps(asdict(self), option=orjson.OPT_APPEND_NEWLINE)


def append(home: Path, name: str, served: Sequence[Served]) -> None:
    """Add lines to this hour's file of process `name`, and remove what is too old."""
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%dT%H', time.gmtime())}-{name}.jsonl"
    if not path.exists():
        _remove_old(folder)
    with path.open("ab") as file:
        file.write(b"".join(each.line() for each in served))


def forget(home: Path, until_ms: Mapping[str, int], now_ms: int) -> None:
    """Drop the lines of shoppers that were served up to a stamp each; raise `StoreError`.

    Those of later than `now_ms`, too: by a clock that was ahead.

    A process that adds to a file meanwhile may lose what it adds: it is a sample.
    """
    names = [orjson.dumps(user_id) for user_id in until_ms]
    try:
        for path in (home / FOLDER).glob("*.jsonl"):
            content = path.read_bytes()
            if not any(name in content for name in names):
                continue
            lines = content.splitlines(keepends=True)
            kept = [
                line
                for line in lines
                if not any(name in line for name in names)
                or _is_kept(parse(line), until_ms, now_ms)
            ]
            if len(kept) < len(lines):
                _replace(path, b"".join(kept))
    except OSError as error:
        raise StoreError(f"served features: {error}") from error


def _is_kept(served: Served | None, until_ms: Mapping[str, int], now_ms: int) -> bool:
    if served is None or served.user_id not in until_ms:
        return served is not None
    return until_ms[served.user_id] < served.at_ms <= now_ms


def _replace(path: Path, content: bytes) -> None:
    """Write a file anew, as old as it was: its age says when it goes."""
    told = path.stat()
    scratch = path.with_suffix(".new")
    with named(scratch):
        scratch.write_bytes(content)
    os.utime(scratch, ns=(told.st_atime_ns, told.st_mtime_ns))
    scratch.replace(path)


def read(home: Path, since_ms: int, until_ms: int) -> Iterator[Served]:
    """Yield what was served from `since_ms` to before `until_ms`; lines that are none are left."""
    for path in sorted((home / FOLDER).glob("*.jsonl")):
        for line in _written_since(path, since_ms).splitlines():
            served = parse(line)
            if served is not None and since_ms <= served.at_ms < until_ms:
                yield served


def _written_since(path: Path, since_ms: int) -> bytes:
    """Return what a file holds, nothing if it is older, or was too old and is just removed."""
    try:
        return path.read_bytes() if path.stat().st_mtime * 1_000 >= since_ms else b""
    except FileNotFoundError:
        return b""


def parse(line: bytes) -> Served | None:
    """Return what a line says, None where it is none: the end of a process that was killed."""
    try:
        told: dict[str, Any] = orjson.loads(line)
        return Served(**told)
    except (orjson.JSONDecodeError, TypeError):
        return None


def _remove_old(folder: Path) -> None:
    oldest = time.time() - KEPT_S
    for path in folder.glob("*.jsonl"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
