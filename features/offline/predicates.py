"""Conditions of rows that are deleted. The logs of tables keep these: shoppers are told by hash."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import md5

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def of_one(column: str, ids: Iterable[str]) -> str:
    """Return the condition of rows with one of some ids in a column; of one at least."""
    told = ", ".join(f"'{each}'" for each in sorted(map(_hash, ids)))
    return f"md5({column}) IN ({told})"


def is_within(user_id: str, since_ms: int, until_ms: int, column: str) -> str:
    """Return the condition of a shopper's rows of the milliseconds after one, up to another.

    By a `column` of timestamps.
    """
    told = f"{of_one('user_id', [user_id])} AND {column} < {_quoted(until_ms + 1)}"
    return told if since_ms < 0 else f"{told} AND {column} >= {_quoted(since_ms + 1)}"


def is_merge(source: str, into: str, at_ms: int) -> str:
    """Return the condition of a row of the merges."""
    told = f"{of_one('source', [source])} AND {of_one('into', [into])}"
    return f"{told} AND at = {_quoted(at_ms)}"


def _hash(each: str) -> str:
    return md5(each.encode(), usedforsecurity=False).hexdigest()


def _quoted(stamp_ms: int) -> str:
    return f"'{_EPOCH + timedelta(milliseconds=stamp_ms):%Y-%m-%dT%H:%M:%S.%fZ}'"
