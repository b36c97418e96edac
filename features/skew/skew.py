"""Skew: what serving used of a feature, beside what the tables say it was.

    served features, a sample ─ the same pairs, from the tables ─ differ? ─ a share for each feature

The same function computes both, so that any difference is one of data: an event that arrived and
was not visible yet, one that was lost, a record of the shopper that is another by now.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from features.computation.point_in_time import joined
from features.computation.vector import FeatureVectors
from features.declared import FEATURE_SET
from features.identity.forgotten import Forgotten
from features.identity.merges import KEY
from features.moments import Moments
from features.offline.kept_events import KEPT_COLUMNS, USER_ID, events_of, numbered
from features.offline.profiles import Profiles
from features.offline.store import OfflineStore
from features.offline.tables import CHANGES
from features.skew.served import SKEW_REPORT, Served
from features.whole_file import replace_file


@dataclass(frozen=True, slots=True)
class Difference:
    """The first answer whose feature differs: what was served, and what the tables say."""

    user_id: str
    as_of_ms: int
    served: float | None
    computed: float | None


@dataclass(frozen=True, slots=True)
class Skew:
    """Of `rows` served features, the share that differs for each, and an example of each."""

    rows: int
    other_schema: int
    """Rows of other declarations, which cannot be compared."""

    ratios: dict[str, float]
    examples: dict[str, Difference]


def skew(store: OfflineStore, served: Sequence[Served]) -> Skew:
    """Return how often what was served differs from what the tables say now.

    What was served to shoppers before they were forgotten is left: the tables say nothing of it.
    """
    served = _spared([each for each in served if each.values], store.forgotten())
    rows = [each for each in served if each.schema == FEATURE_SET.schema_hash]
    others = len(served) - len(rows)
    if not rows:
        return Skew(0, others, {}, {})
    used = np.array([each.values for each in rows], np.float64)  # None becomes NaN
    computed = _computed(store, rows)
    expected = np.where(computed.missing, np.nan, computed.values.astype(np.float64))
    differs = (used != expected) & ~(np.isnan(used) & np.isnan(expected))
    ratios = dict(zip(FEATURE_SET.names, differs.mean(axis=0).tolist(), strict=True))
    return Skew(len(rows), others, ratios, _examples(rows, differs, used, expected))


def _spared(served: Sequence[Served], forgotten: Forgotten) -> list[Served]:
    until = forgotten.until({each.user_id for each in served})
    return [each for each in served if each.at_ms > until.get(each.user_id, -1)]


def write_report(home: Path, told: Skew) -> Path:
    """Write the ratios where the service looks for them, whole or not at all."""
    path = home / SKEW_REPORT
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"rows": told.rows, "ratios": told.ratios}))
    return path


def _computed(store: OfflineStore, rows: Sequence[Served]) -> FeatureVectors:
    as_of_ms = np.array([each.as_of_ms for each in rows], np.int64)
    # What arrived after the features were computed could not be in them, whatever moment they
    # were for: pages' clocks are ahead, too.
    until_ms = np.minimum(as_of_ms, [each.at_ms + 1 for each in rows])
    merges = store.merges({each.user_id for each in rows})
    pairs = merges.keyed(pl.DataFrame({USER_ID: [each.user_id for each in rows]}), until_ms)
    states, numbers = numbered(pairs[KEY])
    records, offsets = events_of(
        merges.expanded(store.scan("events").select(KEPT_COLUMNS), pairs[KEY]), states
    )
    shoppers, whose = numbered(pairs[USER_ID])
    profiles = Profiles.of(store.scan("users"), store.scan(CHANGES), shoppers)
    moments = Moments(
        as_of_ms,
        [each.country for each in rows],
        [each.latitude for each in rows],
        profiles.at(whose, as_of_ms),
    )
    return joined(records, offsets, numbers, moments, until_ms).vectors(FEATURE_SET.features)


def _examples(
    rows: Sequence[Served],
    differs: npt.NDArray[np.bool_],
    used: npt.NDArray[np.float64],
    expected: npt.NDArray[np.float64],
) -> dict[str, Difference]:
    told = {}
    for column in np.flatnonzero(differs.any(axis=0)).tolist():
        row = int(differs[:, column].argmax())
        one = rows[row]
        told[FEATURE_SET.names[column]] = Difference(
            one.user_id, one.as_of_ms, _known(used[row, column]), _known(expected[row, column])
        )
    return told


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
