"""The audit trail: what was decided, why, and what came of it, a line of JSON each.

CUVEE_HOME/response/audit/2026-11.jsonl      only ever added to

A decision has a line before anything is done, and lines with the same `id` for what it led to.
What is not on the disk was not done: how often an action may be taken is counted from here.
"""

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from monitoring.response.errors import TrailError

FOLDER = Path("response") / "audit"
"""Below CUVEE_HOME."""


class Decided(StrEnum):
    """What was decided."""

    TAKEN = "taken"
    DRY_RUN = "dry_run"
    """It would have been taken."""

    LIMITED = "limited"
    """It was taken as often as it may be."""

    REFUSED = "refused"
    """It makes no sense now."""

    BY_HAND = "by_hand"
    """A person did it; no limit counts it."""


class Trail:
    """The audit trail of a home."""

    def __init__(self, home: Path) -> None:
        """Write nothing yet."""
        self._folder = home / FOLDER

    def add(self, at_s: float, line: Mapping[str, Any]) -> None:
        """Add a line, on the disk before this returns, or none; raise `TrailError`."""
        moment = datetime.fromtimestamp(at_s, UTC)
        told = {"at": moment.isoformat(timespec="milliseconds"), **line}
        content = orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)
        path = self._folder / f"{moment:%Y-%m}.jsonl"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _append(path, content)
        except OSError as error:
            raise TrailError(f"{path}: {error.strerror or error}") from error

    def lines(self, since_s: float = 0.0) -> Iterator[dict[str, Any]]:
        """Yield the lines of the months since a moment, the oldest first; what is none is left."""
        first = f"{datetime.fromtimestamp(max(since_s, 0.0), UTC):%Y-%m}.jsonl"
        for path in sorted(self._folder.glob("*.jsonl")):
            if path.name < first:
                continue
            for raw in path.read_bytes().splitlines():
                if (line := _line(raw)) is not None:
                    yield line


def new_id(at_s: float) -> str:
    """Return a name for a decision; names of later ones sort behind it."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def seconds_of(line: Mapping[str, Any]) -> float:
    """Return when a line was written, in seconds since 1970; 0 where it does not say."""
    try:
        return datetime.fromisoformat(line["at"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0


def _append(path: Path, content: bytes) -> None:
    """Add to a file, all or nothing; what a crash left without an end gets one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            content = b"\n" + content
        try:
            if os.write(descriptor, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - undone below
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _line(raw: bytes) -> dict[str, Any] | None:
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return told if isinstance(told, dict) else None
