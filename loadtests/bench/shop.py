"""The shop of the benchmark: items, shoppers with a history, and a bundle for each kind of ranking.

Drawn from a seed, so that every run does the same work: `items` items, two towers of rank 32,
and, where asked for, 100 boosted trees of 31 leaves over the ranker's columns.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from features.catalogue import Catalogue
from features.events import RECORD, TYPE_CODES, EventType, Records
from features.ids import stable_hashes
from features.online.embedded import EmbeddedValkey
from features.online.valkey_store import ValkeyStore
from models.bundle import write_bundle
from models.export import ranker_graph, tower_graph
from models.item_index import INDEXED_FROM, RECALL_AT, ItemIndex
from models.item_table import ItemTable
from models.parts import Parts, Personal, Rows, Segments
from models.ranker import Ranker
from models.ranker_features import AFFINITIES, ITEM_STATS, RANKER_FEATURES
from models.registry import Registry
from models.towers import Towers

RANK = 32
EVENTS, TASTES = 20, 3
"""Clicks of each shopper, and of how many kinds the items are."""

NEWEST_MS = 1_760_000_000_000
TREES, LEAVES = 100, 31


def item_ids(items: int) -> tuple[str, ...]:
    """Return the ids of the shop's items."""
    return tuple(f"item-{row:06d}" for row in range(items))


def shopper_ids(first: int, end: int) -> list[str]:
    """Return the ids of the shop's shoppers from number `first` to before `end`."""
    return [f"shopper-{number:06d}" for number in range(first, end)]


def write_bodies(path: Path, first: int, end: int) -> None:
    """Write a request for each of the shop's shoppers, one a line."""
    users = shopper_ids(first, end)
    path.write_text("".join(f'{{"user_id":"{user}","k":10}}\n' for user in users))


def promote(home: Path, parts: Parts) -> None:
    """Write a bundle of `parts` below `home` and make it the one that serves."""
    Registry(home).promote(write_bundle(home / "models", parts))


def shop_parts(
    items: int, *, trees: int = 0, seed: int = 1, shoppers: int = 0, indexed: bool = True
) -> Parts:
    """Return what a bundle of the shop is made of; training knew the first `shoppers`."""
    random = np.random.default_rng(seed)
    towers = _towers(items, random)
    index, recall = _index(towers) if indexed else (None, 1.0)
    known = np.sort(stable_hashes(shopper_ids(0, shoppers)))
    popularity = random.exponential(1, (5, items)).astype(np.float32)
    return Parts(
        items=ItemTable.of(
            Catalogue(
                item_ids(items),
                np.array([f"category-{row % 20}" for row in range(items)], np.str_),
                random.uniform(5, 90, items).astype(np.float32),
                np.ones(items, np.bool_),
                {},
            )
        ),
        segments=Segments(
            ("global", *(f"taste={number}" for number in range(1, 5))),
            popularity,
            (np.arange(items) % 5).astype(np.int32),
            known,
            (1 + known % 4).astype(np.uint16),
        ),
        companions=None,
        personal=Personal(
            tower=tower_graph(RANK),
            inputs=towers.inputs,
            outputs=towers.outputs,
            implicit_inputs=towers.inputs,
            implicit_outputs=towers.outputs,
            ranker=_trees(random, trees) if trees else None,
            item_stats=random.uniform(0, 3, (items, len(ITEM_STATS))).astype(np.float32),
            item_codes=random.integers(0, 40, (items, AFFINITIES)).astype(np.int32),
            index=index,
        ),
        reference=None,
        metrics={"export": {"index": {f"recall@{RECALL_AT}": recall}}},
        parameters={"rank": RANK, "seed": seed},
        dataset_version="benchmark",
        example_user=None,
    )


async def fill(store: EmbeddedValkey, items: int, shoppers: int, *, bought: int = 0) -> None:
    """Put the histories of all shoppers into the store; the last `bought` events are purchases."""
    online = ValkeyStore(store.url)
    try:
        await online.rings.apply(_histories(items, shoppers, bought))
        await online.put_profiles({user: {"country": "FR"} for user in shopper_ids(0, shoppers)})
    finally:
        await online.close()


def _histories(items: int, shoppers: int, bought: int) -> Iterator[tuple[str, Records]]:
    random = np.random.default_rng(2)
    codes = np.full(EVENTS, TYPE_CODES[EventType.CLICK])
    codes[EVENTS - bought :] = TYPE_CODES[EventType.PURCHASE]
    hashes = stable_hashes(item_ids(items))
    for number, user_id in enumerate(shopper_ids(0, shoppers)):
        records = np.zeros(EVENTS, RECORD)
        records["ts"] = NEWEST_MS - np.arange(EVENTS)[::-1] * 3_600_000
        records["item"] = hashes[_met(items, random)]
        records["tag"] = (number * EVENTS + np.arange(EVENTS)) * 16 + codes
        yield user_id, records


def _tastes(items: int) -> int:
    """Return of how many kinds the items are: row r is of kind r modulo so many."""
    return min(200, items // 50)


def _towers(items: int, random: np.random.Generator) -> Towers:
    """Return factors as training finds them: items of a kind point alike, some are popular."""
    kinds = random.normal(size=(_tastes(items), RANK))
    rows = np.arange(items) % len(kinds)
    popular = random.lognormal(0, 0.5, (items, 1)) / np.sqrt(RANK)
    drawn = [kinds[rows] + random.normal(0, 0.6, (items, RANK)) for _ in range(2)]
    return Towers(*((each * popular).astype(np.float32) for each in drawn))


def _index(towers: Towers) -> tuple[ItemIndex | None, float]:
    """Return an index where training would make one, and its recall."""
    items = len(towers.inputs)
    if items < INDEXED_FROM:
        return None, 1.0
    random = np.random.default_rng(3)
    users = [towers.inputs[_met(items, random)].sum(axis=0) for _ in range(1_000)]
    return ItemIndex.build(towers.outputs, np.array(users))


def _met(items: int, random: np.random.Generator) -> Rows:
    """Return the rows of the items that a shopper of three tastes clicked, each once."""
    tastes, drawn = _tastes(items), 4 * EVENTS
    own = random.choice(tastes, TASTES, replace=False)
    rows = random.choice(own, drawn) + tastes * random.integers(0, items // tastes, drawn)
    return random.permutation(np.unique(rows))[:EVENTS]


def _trees(random: np.random.Generator, count: int) -> bytes:
    from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415 (a second)

    columns = random.normal(size=(20_000, len(RANKER_FEATURES))).astype(np.float32)
    wanted = columns[:, :8].sum(axis=1) + np.sin(3 * columns[:, 8:16]).sum(axis=1)
    trees = HistGradientBoostingRegressor(
        max_iter=count, max_leaf_nodes=LEAVES, early_stopping=False, random_state=1
    )
    weights = random.normal(size=len(RANKER_FEATURES)).astype(np.float32)
    trees.fit(np.column_stack((columns, columns @ weights)), wanted)
    return ranker_graph(Ranker(weights, np.zeros_like(weights), trees))
