"""The real X-Wines files through the shipped mapping."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from features.__main__ import cli
from features.offline.store import OfflineStore

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data" / "xwines"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the X-Wines data set does not lie beside this checkout"
)


def test_x_wines_is_taken_in_whole(tmp_path: Path) -> None:
    """1,007 wines and 150,000 ratings, none refused; the second time changes nothing."""
    mapping = str(ROOT / "docs" / "mappings" / "xwines.yaml")
    arguments = ["ingest", "--mapping", mapping, "--data", str(DATA), "--max-errors", "0"]
    runner = CliRunner(env={"CUVEE_HOME": str(tmp_path)})

    first = runner.invoke(cli, arguments)
    again = runner.invoke(cli, arguments)

    for told in ("events    150,000 new, 0 known already\n", "items     1,007 new"):
        assert told in first.stdout
    for told in ("events    0 new, 150,000 known already\n", "items     0 new"):
        assert told in again.stdout
    store = OfflineStore(tmp_path)
    assert store.version() == "events@0,items@0,users@-"
    catalogue, log = store.catalogue(), store.event_log()
    assert len(log.user_ids) == 10_561
    assert dict(zip(*np.unique(catalogue.category, return_counts=True), strict=True))["Red"] == 505
    row = catalogue.item_ids.index("100005")
    wine = {name: values[row] for name, values in catalogue.attributes.items()}
    assert (wine["grape"], wine["abv"], wine["country"]) == ("Cabernet Sauvignon", 11.0, "Brazil")
    assert wine["pairing"] == "Beef, Lamb, Game Meat, Poultry"
    assert np.isnan(catalogue.price).all()
    assert catalogue.in_stock.all()
