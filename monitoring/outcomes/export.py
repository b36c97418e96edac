"""The lists themselves with what became of each, as a Parquet file: a row a list.

    lists ─ credits, by type ─ features that were used, of those that were logged ─ one file

Features are a sample (`CUVEE_FEATURE_LOG_SHARE`) and kept for a week. A list from the cache was
ranked before, under another id: its features are those of the list it was kept from.
"""

from pathlib import Path

import polars as pl

from features.declared import FEATURE_SET
from features.errors import InputError
from features.offline.store import OfflineStore
from features.skew import served
from monitoring.outcomes.attribution import Tables
from monitoring.outcomes.policy import Policy

_ID = "recommendation_id"


def export(store: OfflineStore, policy: Policy, now_ms: int, days: int, path: Path) -> None:
    """Write the lists of the last `days` to `path`, whole or not at all; raise `InputError`."""
    since_ms = now_ms - days * 86_400_000
    tables = Tables(store, policy, since_ms, now_ms + 1)
    credited = tables.attribution().credits
    told = tables.lists().join(_by_list(credited, policy).lazy(), on=_ID, how="left")
    told = told.join(_features(store.home, since_ms, now_ms).lazy(), on=_ID, how="left")
    scratch = path.with_name(f".{path.name}.new")
    try:
        told.sink_parquet(scratch)
        scratch.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        scratch.unlink(missing_ok=True)
        reason = str(error).partition("\n")[0]
        raise InputError(f"--export: {path} cannot be written: {reason:.200}") from None


def _by_list(credited: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return for each list with an event the positions, values and delays of those of each type."""
    per_kind = [
        pl.col(column).filter(pl.col("type") == kind).alias(f"{kind}_{column}")
        for kind in policy.windows_ms
        for column in ("position", "value", "delay_ms")
    ]
    return credited.sort("at_ms").group_by(_ID, maintain_order=True).agg(per_kind)


def _features(home: Path, since_ms: int, now_ms: int) -> pl.DataFrame:
    """Return the logged features of lists by their ids, of the declarations that are in force."""
    names = FEATURE_SET.names
    rows = [
        (each.recommendation_id, *each.values)
        for each in served.read(home, since_ms, now_ms + 1)
        if each.recommendation_id is not None and each.schema == FEATURE_SET.schema_hash
    ]
    schema = {_ID: pl.String, **{f"feature_{name}": pl.Float64 for name in names}}
    return pl.DataFrame(rows, schema, orient="row").unique(_ID, keep="first")
