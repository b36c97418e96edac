"""Where the online store is: what `CUVEE_REDIS_URL` names, or the embedded server of a home."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import InputError
from features.online.embedded import EmbeddedValkey


def running_store_url(home: Path) -> str:
    """Return the url of a store that somebody else runs; raise `InputError` if none does."""
    url = os.environ.get("CUVEE_REDIS_URL")
    if url:
        return url
    server = EmbeddedValkey(home)
    if not server.is_alive():
        raise InputError(
            f"CUVEE_REDIS_URL: unset, and no embedded Valkey runs under {home}; "
            "start the service first, or name a server, e.g. redis://127.0.0.1:6379/0"
        )
    return server.url


@contextmanager
def store_url(home: Path) -> Iterator[str]:
    """Give the url of a store; for as long as it is used an embedded one runs if none did."""
    url = os.environ.get("CUVEE_REDIS_URL")
    if url:
        yield url
        return
    with EmbeddedValkey(home) as server:
        yield server.url
