"""What goes wrong with the tables, in this room's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
import pyarrow as pa
from deltalake.exceptions import DeltaError

from features.errors import StoreError


@contextmanager
def translated() -> Iterator[None]:
    """Raise `StoreError` in place of what the libraries raise where files fail them."""
    try:
        yield
    except (DeltaError, OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise StoreError(f"offline store: {_reason(error):.300}") from error


def _reason(error: Exception) -> str:
    """Return in one line what was wrong: of a file its name and what befell it, not the number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error).partition("\n")[0] or type(error).__name__


def collected(rows: pl.LazyFrame) -> pl.DataFrame:
    """Return rows of a scan; raise `StoreError` where files of it are gone."""
    with translated():
        return rows.collect(engine="streaming")
