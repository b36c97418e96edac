"""`python -m loadtests.store.feast_peer VERB`: Feast, in its own environment.

Feast reads values that were computed before: a Parquet file with the columns user_id and
event_timestamp, and one for each feature.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import pandas as pd
import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Bool, Float32, Int64
from feast.value_type import ValueType
from pyarrow import parquet

from loadtests.store.gauge import Gauge, peak_mb
from loadtests.store.groups import groups_of

KEY, MOMENT, VIEW = "user_id", "event_timestamp", "shopper"
MANY = 100
_TYPES = {pa.float32(): Float32, pa.int64(): Int64, pa.bool_(): Bool}
_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def cli() -> None:
    """Measure Feast; what each verb prints is JSON."""


@cli.command()
@click.option("--repository", type=_FOLDER, required=True, help="Of the registry.")
@click.option("--values", type=_FILE, required=True, help="What was computed before.")
@click.option("--port", type=int, help="Of the Redis to write the values into.")
@click.option("--offline", default="duckdb")
def declare(repository: Path, values: Path, port: int | None, offline: str) -> None:
    """Declare a view of the values, and write them online where there is a Redis."""
    store = _store(repository, port, offline)
    schema = parquet.read_schema(values)
    entity = Entity(name=VIEW, join_keys=[KEY], value_type=ValueType.STRING)
    view = FeatureView(
        name=VIEW,
        entities=[entity],
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=_TYPES[schema.field(name).type]) for name in _names(values)],
        source=FileSource(path=str(values), timestamp_field=MOMENT),
        online=port is not None,
    )
    store.apply([entity, view])
    if port is not None:
        store.write_to_online_store(VIEW, pd.read_parquet(values))
    click.echo("{}")


@cli.command()
@click.option("--repository", type=_FOLDER, required=True)
@click.option("--values", type=_FILE, required=True)
@click.option("--port", type=int, required=True)
@click.option("--calls", type=int, required=True, help="Of each kind.")
@click.option("--in-flight", type=int, required=True, help="Requests at once, each for a shopper.")
@click.option("--out", type=_FILE, required=True, help="What was read of each shopper.")
def online(
    repository: Path, values: Path, port: int, calls: int, in_flight: int, out: Path
) -> None:
    """Read the features of one shopper, of many in a call, and of many in calls at once."""
    store = _store(repository, port, "duckdb")
    wanted = [f"{VIEW}:{name}" for name in _names(values)]
    users: list[str] = pd.read_parquet(values, columns=[KEY])[KEY].tolist()

    def read(some: list[str]) -> dict[str, list[Any]]:
        rows = [{KEY: user} for user in some]
        told: dict[str, list[Any]] = store.get_online_features(wanted, rows).to_dict()
        return told

    read(users[:1])
    figures: dict[str, float] = {}
    for name, each in (("one", 1), ("many", MANY)):
        some, gauge = groups_of(users, each), Gauge()
        for _ in range(max(calls // each, 1)):
            group = next(some)
            started = perf_counter()
            read(group)
            gauge.note(perf_counter() - started)
        figures |= gauge.told(name, each)
    figures |= asyncio.run(_at_once(store, wanted, groups_of(users, in_flight), calls, in_flight))
    parts = [pd.DataFrame(read(users[at : at + MANY])) for at in range(0, len(users), MANY)]
    pd.concat(parts).to_parquet(out)
    click.echo(json.dumps(figures | {"peak_mb": peak_mb()}))


async def _at_once(
    store: FeatureStore, wanted: list[str], groups: Iterator[list[str]], calls: int, in_flight: int
) -> dict[str, float]:
    """Return the figures of requests that are under way together, each for one shopper."""

    async def read(user: str) -> dict[str, list[Any]]:
        response = await store.get_online_features_async(wanted, [{KEY: user}])
        told: dict[str, list[Any]] = response.to_dict()
        return told

    await read("nobody")
    gauge = Gauge()
    for _ in range(max(calls // in_flight, 1)):
        group = next(groups)
        started = perf_counter()
        await asyncio.gather(*map(read, group))
        gauge.note(perf_counter() - started)
    return gauge.told("flight", in_flight)


@cli.command()
@click.option("--repository", type=_FOLDER, required=True)
@click.option("--values", type=_FILE, required=True)
@click.option("--labels", type=_FILE, required=True)
@click.option("--offline", required=True)
@click.option("--out", type=_FILE, required=True, help="The labels with every feature.")
def join(repository: Path, values: Path, labels: Path, offline: str, out: Path) -> None:
    """Join labels with the values as they were at each label's moment."""
    store = _store(repository, None, offline)
    rows = pd.read_parquet(labels)
    started = perf_counter()
    job = store.get_historical_features(rows, [f"{VIEW}:{name}" for name in _names(values)])
    parquet.write_table(job.to_arrow(), out)
    took_s = perf_counter() - started
    click.echo(json.dumps({"join_s": took_s, "peak_mb": peak_mb()}))


def _store(repository: Path, port: int | None, offline: str) -> FeatureStore:
    redis = {"type": "redis", "connection_string": f"127.0.0.1:{port}"}
    return FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(repository / "registry.db"),
            online_store=redis if port is not None else None,
            offline_store={"type": offline},
            entity_key_serialization_version=3,
        )
    )


def _names(values: Path) -> list[str]:
    return [name for name in parquet.read_schema(values).names if name not in {KEY, MOMENT}]


if __name__ == "__main__":
    cli()
