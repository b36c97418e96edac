"""What a shop is asked all day: lists of every kind, events, and mistakes.

Ids, filters and lengths are drawn from spaces far larger than any cache: what keeps one entry for
each of them would be seen to grow.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from loadtests.bench.measure import PATH

REGULARS = 300
"""Shoppers who come again and again, and find their list in the cache."""

CATEGORIES = 20
MOST_EXCLUDED = 50


@dataclass(frozen=True, slots=True)
class Shop:
    """How many items and known shoppers there are; the ids are those of the benchmark's shop."""

    items: int
    shoppers: int


class Traffic:
    """Requests without end, drawn from a seed."""

    def __init__(self, shop: Shop, seed: int) -> None:
        """Ask of `shop`."""
        self._shop = shop
        self._random = random.Random(seed)

    def lists(self) -> Iterator[bytes]:
        """Yield requests that are answered 200 with items."""
        kinds = (self._regular, self._known, self._stranger, self._choosy, self._similar)
        yield from self._mixed((*kinds, self._popular), (30, 25, 15, 20, 6, 4))

    def events(self) -> Iterator[bytes]:
        """Yield posts of one event that are answered 202, by those known and by others."""
        while True:
            yield post("/v1/events", {"events": [self._event()]})

    def mistakes(self) -> Iterator[bytes]:
        """Yield requests that are answered 400 or 422."""
        kinds = (self._broken, self._misspelt, self._impossible, self._no_event)
        yield from self._mixed(kinds, (1, 1, 1, 1))

    def _mixed(
        self, kinds: tuple[Callable[[], bytes], ...], weights: tuple[int, ...]
    ) -> Iterator[bytes]:
        while True:
            (kind,) = self._random.choices(kinds, weights)
            yield kind()

    def _regular(self) -> bytes:
        return post(PATH, {"user_id": self._shopper(REGULARS), "k": 10})

    def _known(self) -> bytes:
        return post(PATH, {"user_id": self._shopper(), "k": 10})

    def _stranger(self) -> bytes:
        return post(PATH, {"user_id": self._visitor(), "k": self._random.randint(1, 50)})

    def _choosy(self) -> bytes:
        """Ask with filters, exclusions and a context that hardly come again."""
        draw = self._random
        low = round(draw.uniform(0, 30), 2)
        categories = draw.sample(range(CATEGORIES), draw.randint(5, CATEGORIES))
        filters = {
            "category": [f"category-{each}" for each in categories],
            "price_min": low,
            "price_max": round(low + draw.uniform(30, 60), 2),
        }
        context = {
            "device": draw.choice(("mobile", "desktop")),
            "location": {
                "country": draw.choice(["FR", "DE", "IT", "ES"]),
                "lat": draw.uniform(40, 55),
            },
            "page": f"page-{draw.getrandbits(24):x}",
            "item_id": self._item(),
        }
        return post(
            PATH,
            {
                "user_id": draw.choice((self._shopper, self._visitor))(),
                "k": draw.randint(1, 50),
                "filters": filters if draw.random() < 0.7 else None,
                "exclude": [self._item() for _ in range(draw.randint(0, MOST_EXCLUDED))],
                "context": context if draw.random() < 0.7 else None,
                "session_id": f"session-{draw.getrandbits(48):x}",
            },
        )

    def _similar(self) -> bytes:
        return get(f"/v1/items/{self._item()}/similar?k={self._random.randint(1, 50)}")

    def _popular(self) -> bytes:
        return get(f"/v1/popular?k={self._random.randint(1, 50)}")

    def _event(self) -> dict[str, Any]:
        draw = self._random
        user = draw.choice((lambda: self._shopper(REGULARS), self._shopper, self._visitor))()
        kind = draw.choices(("click", "impression", "purchase", "rating"), (10, 5, 1, 1))[0]
        return {
            "event_id": f"{draw.getrandbits(128):x}",
            "type": kind,
            "user_id": user,
            "item_id": self._item(),
            "timestamp": time.time(),
            "session_id": f"session-{draw.getrandbits(48):x}",
            **({"value": draw.randint(1, 5)} if kind in {"purchase", "rating"} else {}),
        }

    def _broken(self) -> bytes:
        return post_raw(PATH, b'{"user_id":"%x' % self._random.getrandbits(64))

    def _misspelt(self) -> bytes:
        return post(PATH, {"user_id": self._visitor(), f"k{self._random.getrandbits(32):x}": 10})

    def _impossible(self) -> bytes:
        segment = {"category": [self._random.getrandbits(16)]}
        return post(PATH, {"user_id": self._shopper(), "k": 10, "filters": segment})

    def _no_event(self) -> bytes:
        kind = f"type-{self._random.getrandbits(32):x}"
        return post("/v1/events", {"events": [{**self._event(), "type": kind}]})

    def _shopper(self, among: int | None = None) -> str:
        among = min(among or self._shop.shoppers, self._shop.shoppers)
        return f"shopper-{self._random.randrange(among):06d}"

    def _visitor(self) -> str:
        return f"visitor-{self._random.getrandbits(48):x}"

    def _item(self) -> str:
        return f"item-{self._random.randrange(self._shop.items):06d}"


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, body: dict[str, Any]) -> bytes:
    """Return a POST request of what `body` says; what is None is left out."""
    return post_raw(path, orjson.dumps({k: v for k, v in body.items() if v is not None}))


def post_raw(path: str, content: bytes) -> bytes:
    """Return a POST request of `content`."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
