"""Forgetting shoppers in versions of datasets: their rows are dropped, everybody else's stay.

    data-1.parquet, without them ─ dataset.json, in one step ─ data.parquet goes

Who is killed on the way leaves the version as it was or as it shall be, and may come again: what
`dataset.json` does not name is removed. What was dropped is noted there, so that a version that is
made anew can be compared: the shoppers by hash, when, and how many rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from pyarrow import compute, parquet

from features.datasets.dataset import (
    MAKING,
    MANIFEST,
    Dataset,
    Erased,
    checksum_of,
    data_name,
    described,
)
from features.errors import StoreError
from features.identity.spared import USER_ID
from features.ids import Hashes, stable_hashes
from features.lock import locked
from features.scratch import sweep
from features.whole_file import replace_file


def forget(root: Path, noted_ms: Mapping[str, int]) -> None:
    """Drop rows of shoppers, forgotten at a moment each, from the datasets in `root` made before.

    Raises `StoreError` where that cannot be done now.
    """
    if not root.is_dir():
        return
    try:
        with locked(root):
            sweep(root, MAKING)
            for folder in _versions(root):
                _forget_in(folder, noted_ms)
    except OSError as error:
        raise StoreError(f"datasets: {error}") from error


def erased(dataset: Dataset, folder: Path, users: Hashes) -> Dataset:
    """Write the data of a version in `folder` without rows of `users`; return its description.

    The same one where it has no such rows. The data of before are still there.
    """
    held = _held(folder / dataset.data, users)
    if not len(held):
        return dataset
    path = folder / data_name(len(dataset.erased) + 1)
    rows = drop(folder / dataset.data, path, held)
    names = tuple(f"{user:016x}" for user in np.sort(held).tolist())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    schema, statistics, count = described(path)
    return replace(
        dataset,
        erased=(*dataset.erased, Erased(now, names, rows)),
        schema=schema,
        statistics=statistics,
        rows=count,
        size=path.stat().st_size,
        checksum=checksum_of(path),
    )


def names_one_of(path: Path, user_ids: list[str]) -> bool:
    """Tell whether a Parquet file has rows of one of `user_ids`: sooner than by their hashes."""
    theirs = pl.scan_parquet(path, glob=False).select(pl.col(USER_ID).cast(pl.String))
    return bool(len(theirs.filter(pl.col(USER_ID).is_in(user_ids)).head(1).collect()))


def drop(source: Path, target: Path, users: Hashes) -> int:
    """Write a Parquet file without the rows of `users`, and return how many these were.

    The same rows and users give the same bytes.
    """
    dropped = 0
    with (
        parquet.ParquetFile(source) as file,
        parquet.ParquetWriter(target, file.schema_arrow) as writer,
    ):
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            theirs = _are_of(pl.Series(table.column(USER_ID)), users)
            kept = table.filter(compute.invert(theirs.to_arrow()))
            dropped += len(table) - len(kept)
            writer.write_table(kept)
    return dropped


def _forget_in(folder: Path, noted_ms: Mapping[str, int]) -> None:
    manifest = folder / MANIFEST
    try:
        told = Dataset.from_json(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:  # deleted
        _remove_others(folder, None)
        return
    except ValueError:  # perhaps of a later program, which can read it
        _remove_naming(folder, list(noted_ms))
        return
    _remove_others(folder, told.data)
    users = [user for user, noted in noted_ms.items() if noted > told.forgotten_ms]
    if not _may_name(folder / told.data, users):
        return
    try:
        after = erased(told, folder, stable_hashes(users))
    except pa.ArrowInvalid:  # cut off: nobody could use it
        (folder / told.data).unlink()
        return
    replace_file(manifest, after.to_json())
    _remove_others(folder, after.data)


def _remove_others(folder: Path, data: str | None) -> None:
    """Remove what is the data of no version: whoever did so before was killed."""
    for path in folder.glob("data*.parquet"):
        if path.name != data:
            path.unlink()


def _remove_naming(folder: Path, user_ids: list[str]) -> None:
    """Remove data of which nobody can tell how to leave out rows of `user_ids`, if there are."""
    for path in folder.glob("data*.parquet"):
        if _may_name(path, user_ids):
            path.unlink()


def _may_name(path: Path, user_ids: list[str]) -> bool:
    """Tell whether rows of one of `user_ids` are in a file; of no use to anybody, it goes."""
    try:
        return names_one_of(path, user_ids)
    except FileNotFoundError:
        return False
    except pl.exceptions.PolarsError:
        path.unlink()
        return False


def _versions(root: Path) -> Iterator[Path]:
    for folder in root.glob("*/*"):
        if folder.is_dir() and folder.name.isdigit():
            yield folder


def _held(path: Path, users: Hashes) -> Hashes:
    """Return those of `users` with rows in a Parquet file."""
    if not len(users):
        return users
    ids = pl.scan_parquet(path, glob=False).select(USER_ID).unique().collect(engine="streaming")
    held = stable_hashes(ids[USER_ID].cast(pl.String).to_list())
    return held[np.isin(held, users)]


def _are_of(ids: pl.Series, users: Hashes) -> pl.Series:
    """Return whether each id is one of `users`."""
    distinct = ids.unique()
    theirs = np.isin(stable_hashes(distinct.cast(pl.String).to_list()), users)
    return ids.is_in(distinct.filter(pl.Series(theirs)).implode())
