"""The lists themselves with what became of each, as a Parquet file: a row a list.

    lists ─ credits, by type ─ features that were used, by name ─ one file

They are what the ranker was told, as the table has it: nothing is computed again. A list has none
where it was ranked by other declarations, as `features_schema` tells, or by no ranker, or before,
for the cache: then under another id.
"""

from pathlib import Path

import polars as pl

from features.declared import FEATURE_SET
from features.errors import InputError
from features.offline.store import OfflineStore
from monitoring.outcomes.attribution import Tables
from monitoring.outcomes.policy import Policy

_ID = "recommendation_id"


def export(store: OfflineStore, policy: Policy, now_ms: int, days: int, path: Path) -> None:
    """Write the lists of the last `days` to `path`, whole or not at all; raise `InputError`."""
    since_ms = now_ms - days * 86_400_000
    tables = Tables(store, policy, since_ms, now_ms + 1)
    credited = tables.attribution().credits
    told = tables.lists().join(_by_list(credited, policy).lazy(), on=_ID, how="left")
    told = told.with_columns(_features()).drop("features")
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


def _features() -> list[pl.Expr]:
    """Return a column for each feature, of what was used of the declarations that are in force."""
    used = pl.when(features_schema=FEATURE_SET.schema_hash).then("features")
    return [
        used.list.get(place, null_on_oob=True).alias(f"feature_{name}")
        for place, name in enumerate(FEATURE_SET.names)
    ]
