"""Forgetting in every place of a home: tables, quarantine and datasets, whatever is killed."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from textwrap import dedent

import polars as pl
import pytest

from features.datasets.dataset import DATA, MAKING, MANIFEST, Declaration, Reference, described
from features.datasets.datasets import Datasets
from features.erasure import Erasure
from features.errors import InputError, StoreError
from features.home import LOAD_TEST
from features.identity.forgotten import ForgottenList
from features.ids import stable_hash
from features.offline.store import OfflineStore
from features.scratch import scratch_folder
from features.stream.archive import events_table
from features.training.chunk import Chunk
from features.training.labels import Labels
from features.training.local_engine import local_chunks
from tests.support.abandoned import abandoned
from tests.support.process import ROOT
from tests.support.purchases import NOW_MS, PURCHASES, QUERY, purchases, run

LATER_MS = NOW_MS + 3_600_000


def users_of(datasets: Datasets, name: str) -> set[str]:
    """Return the shoppers in the latest version of a dataset."""
    return set(pl.read_parquet(datasets.path(Reference.parse(name)))["user_id"])


def files_of(home: Path) -> set[str]:
    """Return the names of all files of datasets."""
    return {path.name for path in (home / "datasets").rglob("[!.]*") if path.is_file()}


def test_rows_go_from_versions_and_others_stay(
    datasets: Datasets, store: OfflineStore, tmp_path: Path
) -> None:
    """The version says so wherever it is looked at, and is verified as what it is now."""
    before = datasets.create("paid", PURCHASES)
    rows = pl.read_parquet(datasets.path(before.reference))

    Erasure(store).forget({"u1": LATER_MS})

    after = datasets.get(before.reference)
    assert datasets.holding("u1") == []
    assert files_of(tmp_path) == {"data-1.parquet", MANIFEST}
    kept = pl.read_parquet(datasets.path(after.reference))
    assert kept.equals(rows.filter(pl.col("user_id") != "u1"))
    assert (after.rows, after.statistics["user_id"]["distinct"]) == (20, 2)
    (erased,) = after.erased
    assert (erased.users, erased.rows) == ((f"{stable_hash('u1'):016x}",), 10)
    lost = f"without 10 rows of forgotten shoppers, deleted until {erased.on}"
    assert lost in run(tmp_path, "list").stdout
    assert run(tmp_path, "verify", "paid").stdout == f"paid@1: the same, {lost}\n"
    shown = json.loads(run(tmp_path, "show", "paid", "--json").stdout)
    assert shown["path"].endswith("data-1.parquet")
    assert shown["erased"][0]["rows"] == 10
    assert "u1" not in (tmp_path / "datasets" / "paid" / "1" / MANIFEST).read_text()


def test_one_after_the_other_is_verified(
    datasets: Datasets, store: OfflineStore, tmp_path: Path
) -> None:
    """In the order they went; a change of the data is found all the same."""
    told = datasets.create("paid", PURCHASES)
    erasure = Erasure(store)
    erasure.forget({"u1": LATER_MS})
    erasure.forget({"u2": LATER_MS, "nobody": 1})
    erasure.forget({"u2": LATER_MS})

    after = datasets.get(told.reference)
    assert [each.rows for each in after.erased] == [10, 10]
    assert datasets.rebuilt(told.reference) == (after, after.checksum)
    pl.read_parquet(datasets.path(told.reference)).head(3).write_parquet(
        datasets.path(told.reference)
    )
    assert run(tmp_path, "verify", "paid").exit_code == 1
    erasure.forget({"u0": LATER_MS})
    assert datasets.get(told.reference).rows == 0


def test_what_is_made_of_a_dataset_loses_them_too(
    datasets: Datasets, store: OfflineStore, tmp_path: Path
) -> None:
    """It cannot be verified any more, and says why; the next one of it can."""
    datasets.create("paid", PURCHASES)
    datasets.create("again", Declaration("paid@1", "at"))

    Erasure(store).forget({"u1": LATER_MS})

    assert users_of(datasets, "again") == {"u0", "u2"}
    told = run(tmp_path, "verify", "again")
    assert told.exit_code == 2
    assert "paid@1, of which it is made, lost rows of shoppers who were forgotten" in told.stderr
    third = datasets.create("third", Declaration("paid@1", "at"))
    assert datasets.rebuilt(third.reference) == (third, third.checksum)


def test_who_came_back_is_in_later_versions(datasets: Datasets, store: OfflineStore) -> None:
    """And stays in them, though the tombstone be taken again; until they are forgotten again."""
    erasure = Erasure(store)
    erasure.forget({"u1": LATER_MS})
    store.append_events(events_table(purchases(30, 3, LATER_MS)))
    told = datasets.create("paid", PURCHASES)
    assert (users_of(datasets, "paid"), told.passed_over) == ({"u0", "u1", "u2"}, 0)

    erasure.forget({"u1": LATER_MS})
    assert datasets.get(told.reference) == told
    assert datasets.rebuilt(told.reference) == (told, told.checksum)

    erasure.forget({"u1": 2 * LATER_MS})
    assert users_of(datasets, "paid") == {"u0", "u2"}


def test_labels_of_the_forgotten_are_passed_over(
    datasets: Datasets, store: OfflineStore, tmp_path: Path
) -> None:
    """Those of a file too, and those of who is not deleted from the tables yet."""
    path = tmp_path / "labels.csv"
    stamps = (NOW_MS // 1_000 + 600, LATER_MS // 1_000 + 3_600)
    path.write_text("user_id,at\n" + "".join(f"u{n},{s}\n" for n in range(3) for s in stamps))
    ForgottenList(tmp_path).add({"u1": LATER_MS})
    Erasure(store).forget({"u2": LATER_MS})
    store.append_events(events_table(purchases(32, 1, LATER_MS)))  # u2 is back

    told = run(tmp_path, "create", "file", "--labels", str(path), "--as-of", "at")

    assert "passed over: 3 rows of forgotten shoppers\n" in told.stderr
    made = datasets.get(Reference("file"))
    assert pl.read_parquet(datasets.path(made.reference))["user_id"].to_list() == ["u0", "u0", "u2"]
    Erasure(store).forget({"u0": LATER_MS})
    after = datasets.get(Reference("file"))
    assert datasets.rebuilt(made.reference) == (after, after.checksum)


def test_labels_of_nobody_else_are_told(datasets: Datasets, tmp_path: Path) -> None:
    """There is nothing to make a version of."""
    ForgottenList(tmp_path).add({"u1": LATER_MS})
    with pytest.raises(InputError, match="each of the rows is of a shopper who was forgotten"):
        datasets.create("one", Declaration(f"{QUERY} and user_id = 'u1'", "at"))
    assert datasets.names() == []


def test_who_is_forgotten_while_a_version_is_made_is_not_in_it(
    datasets: Datasets, store: OfflineStore, tmp_path: Path
) -> None:
    """Though the tables were read before."""
    erasure = Erasure(store)

    def slow(store: OfflineStore, labels: Labels, rows: int) -> Generator[Chunk]:
        yield from local_chunks(store, labels, rows)
        erasure.forget({"u1": LATER_MS})

    told = datasets.create("paid", PURCHASES, slow)

    assert users_of(datasets, "paid") == {"u0", "u2"}
    assert [each.rows for each in told.erased] == [10]
    assert datasets.rebuilt(told.reference) == (told, told.checksum)
    assert files_of(tmp_path) == {"data-1.parquet", MANIFEST}


STEPS = (
    "features.quality.quarantine.Quarantine.forget",
    "features.offline.store.OfflineStore.forget",
    "features.offline.delta.DeltaTable.create_checkpoint",
    "features.datasets.erasure.drop",
    "features.datasets.erasure.described",
    "features.datasets.erasure.Dataset.to_json",
    "pathlib.Path.replace",
    "pathlib.Path.unlink",
)
"""In the order in which an erasure comes to them."""

KILLED = dedent("""
    import os, signal, sys
    from importlib import import_module
    from pathlib import Path
    from features.erasure import Erasure
    from features.offline.store import OfflineStore

    where, name = sys.argv[3].rsplit(".", 1)
    module, _, owner = where.rpartition(".")
    try:
        place = import_module(where)
    except ModuleNotFoundError:
        place = getattr(import_module(module), owner)
    setattr(place, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    Erasure(OfflineStore(Path(sys.argv[1]))).forget({"u1": int(sys.argv[2])})
""")


@pytest.mark.parametrize("step", STEPS)
def test_whoever_is_killed_at_a_step_is_made_good(
    datasets: Datasets, store: OfflineStore, tmp_path: Path, step: str
) -> None:
    """The tombstone is taken again: everything is as if nothing had happened."""
    before = datasets.create("paid", PURCHASES)
    rows = pl.read_parquet(datasets.path(before.reference))
    words = [sys.executable, "-c", KILLED, str(tmp_path), str(LATER_MS), step]
    done = subprocess.run(words, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert ForgottenList(tmp_path).read().until(["u1"]) == {"u1": LATER_MS}
    kept = pl.read_parquet(datasets.path(before.reference))
    assert len(kept) in {20, 30}  # whole, in either state

    Erasure(store).forget({"u1": LATER_MS})

    assert store.event_log().user_ids == ("u0", "u2")
    after = datasets.get(before.reference)
    assert sum(each.rows for each in after.erased) == 10
    kept = pl.read_parquet(datasets.path(before.reference))
    assert kept.equals(rows.filter(pl.col("user_id") != "u1"))
    assert datasets.rebuilt(before.reference) == (after, after.checksum)
    assert files_of(tmp_path) == {"data-1.parquet", MANIFEST}


def test_the_damaged_stops_nobody_who_forgets(
    datasets: Datasets, store: OfflineStore, tmp_path: Path
) -> None:
    """Data that cannot be read go; so do those that nothing describes any more."""
    for name in ("cut", "undescribed", "unknown", "deleted", "emptied", "whole"):
        datasets.create(name, PURCHASES)
    folder = tmp_path / "datasets"
    (folder / "cut" / "1" / DATA).write_bytes(b"PAR1")
    (folder / "undescribed" / "1" / MANIFEST).write_text("{}")
    (folder / "unknown" / "1" / MANIFEST).write_text("{}")
    (folder / "unknown" / "1" / DATA).write_bytes(b"PAR1")
    (folder / "deleted" / "1" / MANIFEST).unlink()
    (folder / "emptied" / "1" / DATA).unlink()

    Erasure(store).forget({"u1": LATER_MS})

    assert [path.parent.parent.name for path in folder.glob("*/*/data*.parquet")] == ["whole"]
    for name in ("undescribed", "unknown"):
        (folder / name / "1" / MANIFEST).unlink()
    assert [each.name for each in datasets.holding("u0")] == ["whole"]


def test_what_a_maker_left_who_was_killed_goes(
    datasets: Datasets, store: OfflineStore, tmp_path: Path
) -> None:
    """At once; what somebody is making stays, who will look whom to leave out."""
    datasets.create("paid", PURCHASES)
    left = abandoned(tmp_path / "datasets", MAKING)

    with scratch_folder(tmp_path / "datasets", ".making-now-") as mine:
        Erasure(store).forget({"nobody": LATER_MS})
        assert mine.exists()

    assert not left.exists()


def test_a_copy_of_a_killed_load_test_is_nobodys(store: OfflineStore, tmp_path: Path) -> None:
    """It holds all that the home held; one that is still in use goes with its test."""
    left = abandoned(tmp_path, LOAD_TEST)

    with scratch_folder(tmp_path, f"{LOAD_TEST}now-") as mine:
        Erasure(store).forget({"nobody": LATER_MS})
        assert mine.exists()

    assert not left.exists()


def test_a_load_test_that_was_killed_after_leaves_nothing(
    store: OfflineStore, tmp_path: Path
) -> None:
    """Its copy was in use when somebody was forgotten: it goes when the tables are tidied."""
    Erasure(store).forget({"nobody": LATER_MS})
    left = abandoned(tmp_path, LOAD_TEST)
    with scratch_folder(tmp_path, f"{LOAD_TEST}now-") as mine:
        store.tidy()
        assert mine.exists()
    assert not left.exists()


def test_what_a_later_program_wrote_stays_for_it(
    datasets: Datasets, store: OfflineStore, tmp_path: Path
) -> None:
    """But for data with rows of who is forgotten: nobody here can leave just these out."""
    for name in ("one", "other"):
        datasets.create(name, Declaration(f"{QUERY} and user_id <> '{name}'", "at"))
    datasets.create("without", Declaration(f"{QUERY} and user_id <> 'u1'", "at"))
    for path in (tmp_path / "datasets").glob("*/*/dataset.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "red"}))

    Erasure(store).forget({"u1": LATER_MS})

    left = (tmp_path / "datasets").glob("*/*/data*.parquet")
    assert [path.parent.parent.name for path in left] == ["without"]


def test_who_deletes_a_version_waits_for_who_forgets_in_it(
    datasets: Datasets, store: OfflineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its description would be written again."""
    told = datasets.create("paid", PURCHASES)
    begun = []

    def slow(path: Path) -> object:
        begun.append(threading.Thread(target=datasets.delete, args=(told.reference,)))
        begun[0].start()
        begun[0].join(0.5)
        return described(path)

    monkeypatch.setattr("features.datasets.erasure.described", slow)
    Erasure(store).forget({"u1": LATER_MS})
    begun[0].join()

    assert datasets.all() == []
    assert files_of(tmp_path) == set()


def test_datasets_that_cannot_be_written_are_tried_again(
    store: OfflineStore, datasets: Datasets, tmp_path: Path
) -> None:
    """It is the store's failure, which a consumer waits out."""
    told = datasets.create("paid", PURCHASES)
    where = tmp_path / "datasets" / "paid" / "1" / "data-1.parquet"
    where.mkdir()
    with pytest.raises(StoreError, match="datasets: "):
        Erasure(store).forget({"u1": LATER_MS})
    where.rmdir()
    Erasure(store).forget({"u1": LATER_MS})
    assert datasets.get(told.reference).rows == 20
