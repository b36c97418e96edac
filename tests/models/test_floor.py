"""A shop where all buy by popularity alone: popular lists serve, and everything says so."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from features.eventlog import NO_RECORDS
from features.events import RECORD, TYPE_CODES, EventType
from features.ids import stable_hash
from features.moments import Moment
from features.offline.store import OfflineStore
from features.offline.tables import SCHEMAS
from models.__main__ import cli
from models.evaluate import CANDIDATES, MODEL, SEGMENT
from models.parts import Parts
from models.registry import Registry
from models.request import RankRequest
from models.train_command import _deserves
from models.training import train
from tests.support.bundles import linear_ranker
from tests.support.histories import tasteless


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    columns = SCHEMAS[name].names
    return pa.Table.from_pylist(
        [{column: row.get(column) for column in columns} for row in rows], SCHEMAS[name]
    )


def _fill(home: Path) -> None:
    """Put the shop into the tables of a home."""
    items = [
        {"item_id": f"item-{row}", "category": "Red", "price": 9.0, "in_stock": True}
        for row in range(400)
    ]
    events = []
    for number, each in enumerate(tasteless()):
        at = datetime.fromtimestamp(each.day * 86_400, UTC)
        events.append(
            {
                "event_id": f"event-{number}",
                "type": "purchase",
                "user_id": f"shopper-{each.shopper}",
                "item_id": f"item-{each.item}",
                "timestamp": at,
                "arrived_at": at,
                "value": 9.0,
            }
        )
    store = OfflineStore(home)
    store.put_items(_table("items", items))
    store.append_events(_table("events", events).to_batches())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of the shop, where a model was trained."""
    home = tmp_path_factory.mktemp("home")
    _fill(home)
    done = _run(home, "train")
    assert done.exit_code == 0, done.output
    assert "segment popularity itself: personal lists were worse" in done.stdout
    return home


def _run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, words, env={"CUVEE_HOME": str(home)})


def test_popular_lists_serve(home: Path) -> None:
    """Nothing is personal for who has a history either."""
    model = Registry(home).load("production")
    model.warm()
    assert not model.is_personal
    records = np.zeros(1, RECORD)
    records["item"] = stable_hash("item-0")
    records["tag"] = TYPE_CODES[EventType.PURCHASE]
    (ranking,) = model.rank(model.batch([RankRequest("ann", records, NO_RECORDS, Moment(9), 10)]))
    assert ranking.listed is None


def test_the_manifest_says_so(home: Path) -> None:
    """With the figures by which it was decided; figures are those of what serves."""
    manifest = Registry(home).manifest("production")
    assert (manifest.parameters["order"], manifest.parameters["trees"]) == ("popularity", 0)
    by_lists = manifest.parameters["validation"]["ndcg@10_by_lists"]
    assert by_lists["personal"] < by_lists["segment popularity"]
    told = manifest.metrics
    assert CANDIDATES not in told
    assert told[MODEL]["ndcg@10"] == told[SEGMENT]["ndcg@10"]
    of_new = told["audiences"]["new_items"]
    assert of_new[MODEL]["ndcg@10"] == of_new[SEGMENT]["ndcg@10"]


def test_page_card_and_evaluation_tell_of_it(home: Path) -> None:
    """In words; evaluated anew it has the figures of its manifest."""
    registry = Registry(home)
    version = registry.production()
    assert version is not None
    page = registry.report_path(version).read_text(encoding="utf-8")
    assert "none: what segments buy is better" in page
    assert "No personal part" in _run(home, "card").stdout
    told = json.loads(_run(home, "evaluate", "--json", "--split", "both").stdout)
    assert told["temporal"][MODEL] == registry.manifest(version).metrics[MODEL]
    assert told["choices"]["order"] == "popularity"
    assert "the model shows what segments buy" in _run(home, "evaluate").stdout


def test_there_is_nothing_to_lay_a_ranker_over(home: Path, tmp_path: Path) -> None:
    """A ranker made elsewhere is refused with the reason."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(linear_ranker(np.zeros(1, np.float32)))
    refused = _run(home, "import", str(path))
    assert refused.exit_code == 2
    assert "popular lists were better" in refused.output


def test_it_takes_the_place_of_what_was_no_better(home: Path) -> None:
    """A newer one of the same kind serves; what beat popularity stays until somebody says so."""
    manifest = Registry(home).manifest("production")
    parts: Parts = train(OfflineStore(home))
    assert _deserves(parts, manifest)
    better = {**manifest.metrics, "beats_segments": True}
    assert not _deserves(parts, replace(manifest, metrics=better))
