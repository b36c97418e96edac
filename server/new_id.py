"""Ids of requests and recommendations: 32 hex digits that nobody else has; they are no secret.

Drawn from the process's own generator, which Python seeds anew in every child: asking the kernel
each time costs ten times as much.
"""

import random


def new_id() -> str:
    """Return an id."""
    return random.getrandbits(128).to_bytes(16, "big").hex()
