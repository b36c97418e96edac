"""Dead letters: entries of the stream that no consumer could use, kept for whoever looks into them.

They came past `POST /v1/events`, so that nobody knows what they hold: a text that is a shopper's
id counts as theirs, and that of a session's as the session's, with or without its `session:`.
"""

import json
from collections.abc import Collection
from typing import Any

import orjson

from features import anonymous
from features.online import keys
from features.online.valkey_client import Client, translated

_AT_ONCE = 500


async def forget(client: Client, user_ids: Collection[str]) -> int:
    """Delete the letters that name one of `user_ids`, and return how many; raise `StoreError`."""
    sessions = (anonymous.session_of(user_id) for user_id in user_ids)
    ids = {*user_ids, *(session for session in sessions if session)}
    needles = {needle for each in ids for needle in _as_written(each)}
    deleted, after = 0, "-"
    async with translated():
        while letters := await _read(client, after):
            found = [place for place, told in letters if _names(told, needles)]
            if found:
                deleted += await client.xdel(keys.DEAD_LETTERS, *found)
            after = f"({letters[-1][0].decode()}"
    return deleted


async def count(client: Client) -> int:
    """Return how many letters there are; raise `StoreError`."""
    async with translated():
        return int(await client.xlen(keys.DEAD_LETTERS))


async def _read(client: Client, after: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
    letters: Any = await client.xrange(keys.DEAD_LETTERS, after, "+", _AT_ONCE)
    return list(letters)


def _as_written(user_id: str) -> set[bytes]:
    """Return an id as it may stand in a payload: as a text, and in a text that is JSON itself."""
    plain = {orjson.dumps(user_id), json.dumps(user_id).encode()}
    return plain | {orjson.dumps(text.decode())[1:-1] for text in plain}


def _names(letter: dict[bytes, bytes], needles: set[bytes]) -> bool:
    payload = letter.get(b"payload", b"")
    return any(needle in payload for needle in needles)
