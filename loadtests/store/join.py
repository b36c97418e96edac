"""Training sets: labels joined with features, by us and by Feast, each in a fresh process."""

from pathlib import Path

import polars as pl

from loadtests.run import LoadTestError
from loadtests.store.check import checked
from loadtests.store.figures import COUNTED, CUVEE, Round
from loadtests.store.program import FEAST_PYTHON, feast, own
from loadtests.store.tables import Tables, clicks, expected, write_values

FEASTS = {"Feast, DuckDB": "duckdb", "Feast, Dask": "dask"}


def measure_join(tables: Tables, repeat: int, *, peers: bool = True) -> list[Round]:
    """Return the figures of `repeat` rounds; where there are `peers`, of these as well."""
    if not (peers and FEAST_PYTHON.exists()):
        return [{CUVEE: _own(tables)} for _ in range(repeat)]
    write_values(tables)
    for offline in FEASTS.values():
        feast("declare", *_repository(tables, offline))
    right = expected(tables)
    return [
        {CUVEE: _own(tables)}
        | {name: _feast(tables, offline, right) for name, offline in FEASTS.items()}
        for _ in range(repeat)
    ]


def _own(tables: Tables) -> dict[str, float]:
    out = tables.home / "joined.parquet"
    figures = own("joining", "--home", tables.home, "--labels", tables.labels, "--out", out)
    told = pl.read_parquet(out)
    right = clicks(tables, COUNTED)
    counted = right.join(told, on="row")
    wrong = checked(counted.select(right.columns), right, "row")["wrong"]
    if len(told) != tables.rows:
        raise LoadTestError(f"{tables.rows} labels came back as {len(told)} rows")
    return figures | checked(told, told, "row") | {"wrong": wrong}


def _feast(tables: Tables, offline: str, right: pl.DataFrame) -> dict[str, float]:
    out = tables.home / f"joined-{offline}.parquet"
    asked = ("--labels", tables.labels, "--out", out)
    figures = feast("join", *_repository(tables, offline), *asked)
    return figures | checked(pl.read_parquet(out), right, "row")


def _repository(tables: Tables, offline: str) -> tuple[str | Path, ...]:
    folder = tables.home / offline
    folder.mkdir(exist_ok=True)
    return ("--repository", folder, "--values", tables.values, "--offline", offline)
