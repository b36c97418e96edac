"""What the tables say of a batch's events: nothing is read twice, and no more than is asked."""

from pathlib import Path

import polars as pl
import pytest
from pyarrow import parquet

from features.offline.known_events import KnownEvents
from features.offline.known_ids import id_hashes, id_hashes_in
from features.offline.said import hashed


def events(ids: range, kind: str = "click") -> pl.DataFrame:
    """Return an event of each id."""
    return pl.DataFrame({"event_id": [f"e{n}" for n in ids]}).with_columns(
        type=pl.lit(kind), user_id=pl.lit("u"), item_id=pl.lit("i"), timestamp=1, value=1.0
    )


def written(path: Path, rows: pl.DataFrame) -> Path:
    """Write rows in groups of ten."""
    parquet.write_table(rows.to_arrow(), path, row_group_size=10)
    return path


def ids_of(known: KnownEvents) -> list[int]:
    """Return the hashes of the ids that are known, in order."""
    return sorted(known.said.ids.tolist())


@pytest.mark.parametrize("batch_rows", [3, 100_000])
def test_only_what_is_asked_about_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    """Ids and what they say, from whichever row group, however many rows are read at a time."""
    monkeypatch.setattr("features.offline.known_events._BATCH_ROWS", batch_rows)
    monkeypatch.setattr("features.offline.known_ids._BATCH_ROWS", batch_rows)
    path = written(tmp_path / "a.parquet", events(range(55)))
    wanted = pl.concat((events(range(8, 13)), events(range(50, 60))))
    known = KnownEvents(hashed(wanted).ids)

    known.learn([path])

    there = hashed(wanted.head(10))
    assert known.said.ids.tolist() == there.ids.tolist()
    assert known.said.said.tolist() == there.said.tolist()
    assert known.ids.contains(id_hashes(wanted["event_id"])).tolist() == [True] * 10 + [False] * 5
    assert (id_hashes_in(path) == id_hashes(events(range(55))["event_id"])).all()


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    """Only files that came are, unless one that was read is no longer of the table."""
    wanted = events(range(40))
    known = KnownEvents(hashed(wanted).ids)
    first = written(tmp_path / "a.parquet", events(range(10)))
    second = written(tmp_path / "b.parquet", events(range(20, 30)))
    known.learn([first])
    first.write_bytes(b"nobody reads this")

    known.learn([first, second])
    assert ids_of(known) == sorted(hashed(pl.concat((wanted[:10], wanted[20:30]))).ids.tolist())

    merged = written(tmp_path / "c.parquet", events(range(5, 25), "purchase"))
    known.learn([merged])
    assert ids_of(known) == sorted(hashed(wanted[5:25]).ids.tolist())
    assert len(known.ids) == 20


def test_whoever_asks_for_nothing_reads_nothing(tmp_path: Path) -> None:
    """No event in, no event known."""
    known = KnownEvents(hashed(events(range(0))).ids)
    known.learn([written(tmp_path / "a.parquet", events(range(10)))])
    assert (len(known.said), len(known.ids)) == (0, 0)
