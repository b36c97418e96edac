"""What a trained model calls popular, beside what the tables of events say, counted one by one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from features.demo_shop.simulate import World, simulate
from features.ids import NO_HASHES
from features.offline.store import OfflineStore
from models.model import Model
from models.parts import Parts
from models.reasons import explained
from models.request import Filters
from models.segment_table import MARKET
from models.training import train

GRADES = {"click": 0.3, "add_to_cart": 0.6, "purchase": 1.0}
HALF_LIFE_DAYS = 180
"""Of what tastes buy."""

Pairs = Mapping[str, Mapping[str, tuple[float, float]]]
"""Grade and time, in days, of each item that a shopper liked, by shopper."""


@dataclass(frozen=True, slots=True)
class Claims:
    """A trained shop: what its segments are said to find popular, and who is in which."""

    parts: Parts
    model: Model
    liked: Pairs
    homes: Mapping[str, str]

    def lists(self, k: int) -> Iterator[tuple[int, str, int | None]]:
        """Yield segment, item, and the segment in which it is said to be popular, of each list."""
        for segment in range(len(self.model.segment_names)):
            listed = self.model.popular(segment, NO_HASHES, Filters(), k)
            for row, source in zip(listed.rows, listed.sources, strict=True):
                kind, named = explained(source)
                yield segment, self.model.item_id(row), named if kind is None else None

    def weights(self, segment: int) -> Mapping[str, list[float]]:
        """Return what each shopper's liking of an item weighs, by item, in one segment."""
        told = self.parts.parameters
        name = self.model.segment_names[segment]
        is_taste = segment > 0 and not name.startswith(MARKET)
        half_life = HALF_LIFE_DAYS if is_taste else told["half_life_days"]
        weights = defaultdict(list)
        for user, items in self.liked.items():
            if self._is_in(user, segment, name):
                for item, (grade, day) in items.items():
                    age = told["learnt_until_ms"] / 86_400_000 - day
                    weights[item].append(grade * 0.5 ** (age / half_life))
        return weights

    def _is_in(self, user: str, segment: int, name: str) -> bool:
        if name.startswith(MARKET):
            return name == f"{MARKET}{self.homes.get(user)}"
        return segment == 0 or self.model.shared_segment(user, None) == segment


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Claims:
    """Return what a model says that was trained on a small shop."""
    store = OfflineStore(tmp_path_factory.mktemp("shop"))
    simulate(store, World(20_000, 0, datetime(2026, 11, 1, tzinfo=UTC)))
    parts = train(store)
    assert parts.parameters["firsts"] is None
    homes = {each["user_id"]: each["country"] for each in _rows(store, "users")}
    return Claims(parts, Model(parts), _liked(store), homes)


def _rows(store: OfflineStore, table: str) -> list[dict[str, Any]]:
    return store.scan(table).collect().to_dicts()


def _liked(store: OfflineStore) -> Pairs:
    """Return the best grade of each pair that nobody refused, and when it was first given."""
    liked: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    events = sorted(_rows(store, "events"), key=lambda each: each["timestamp"])
    for each in events:
        grade, day = _grade(each), each["timestamp"].timestamp() / 86_400
        of = liked[each["user_id"]]
        if grade > of.get(each["item_id"], (0.0, 0.0))[0]:
            of[each["item_id"]] = grade, day
    for each in events:
        if each["type"] == "not_interested":
            liked[each["user_id"]].pop(each["item_id"], None)
    return liked


def _grade(event: Mapping[str, Any]) -> float:
    """Return what an event says of its item; few stars are no liking."""
    if event["type"] != "rating":
        return GRADES.get(event["type"], 0.0)
    return 1.0 if event["value"] >= 4 else 0.5 if event["value"] >= 3.5 else 0.0


def test_what_is_called_popular_in_a_segment_is_so_by_its_events(claims: Claims) -> None:
    """Two shoppers of it at least liked the item, and no less than they do the mean item."""
    checked = 0
    for _, item, said in claims.lists(10):
        if said is not None:
            weights = claims.weights(said)
            mean = sum(map(sum, weights.values())) / len(claims.model)
            assert len(weights[item]) >= 2
            assert sum(weights[item]) >= mean * (1 - 1e-9)
            checked += 1
    assert checked > 200


def test_what_is_popular_in_its_segment_is_called_so(claims: Claims) -> None:
    """Nothing of that is said to be popular with everybody only, or of no account."""
    for segment, item, said in claims.lists(40):
        weights = claims.weights(segment)
        mean = sum(map(sum, weights.values())) / len(claims.model)
        if len(weights[item]) >= 2 and sum(weights[item]) > mean * (1 + 1e-9):
            assert said == segment
