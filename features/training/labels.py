"""Labels: the rows of a training set as they are given, who each is about and when.

FILE (CSV, Parquet, zip!member) or a query of the tables ─ every row checked ─ Labels
"""

import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from features.errors import InputError
from features.events import AHEAD, AHEAD_S, CONTROL, LATEST_S, OUTSIDE
from features.identity.forgotten import Forgotten
from features.ids import BLANKS, MAX_ID_LENGTH
from features.ingest import parsing
from features.ingest.mapping import Column
from features.ingest.sources import read_batches
from features.ingest.zones import Zones
from features.offline.kept_events import USER_ID
from features.offline.store import OfflineStore
from features.offline.tables import SCHEMAS

MASK = "__missing"
"""Behind a feature's name: whether it has its default because nothing was known."""

COUNTRY, LATITUDE = "country", "lat"
"""Columns that tell where a row's request came from."""

_EVER_MS = np.iinfo(np.int64).max
MOST_TOLD = 20
_QUERY = re.compile(r"\s*(select|with)\s", re.IGNORECASE)
_CUT = re.compile(r"^\s*SLICE\[", re.MULTILINE)
"""A plan that takes some of the rows, wherever in it."""

_LONGEST = f"{MAX_ID_LENGTH} characters"
_BARE = "names no time zone, as others do: write it, say 2026-10-05T10:00:00Z"
_DEGREES = "expected degrees north, a number: leave it empty (null) where none is known"
_INFINITE = "expected a number that is finite: leave it empty (null) where there is none"


@dataclass(frozen=True, slots=True)
class Labels:
    """`rows` as they were given; row i is about `rows[USER_ID][i]` as known at `as_of_ms[i]`."""

    rows: pl.DataFrame
    as_of_ms: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.rows)

    def shoppers(self) -> list[str]:
        """Return whom they are about, each once."""
        return self.rows[USER_ID].unique().to_list()

    def without(self, features: Collection[str]) -> "Labels":
        """Return them without columns that such features were joined in."""
        joined = {*features, *(f"{name}{MASK}" for name in features)}
        return Labels(self.rows.drop(joined & set(self.rows.columns)), self.as_of_ms)


def is_query(source: str) -> bool:
    """Tell whether labels are asked of the tables, and stand in no file."""
    return _QUERY.match(source) is not None


def refuse_neither(source: str) -> None:
    """Raise where `source` reads like a query that is none, and there is no file of that name."""
    if not source.strip():
        raise InputError("--labels: expected a file or a query, got nothing")
    file = source.partition("!")[0]
    if is_query(source) or not file.split()[1:] or _is_there(file):
        return
    first = source.split(maxsplit=1)[0]
    near = get_close_matches(first.lower(), ("select", "with"), 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise InputError(
        f"--labels: {' '.join(source.split())!r:.80}: as a query it must begin with select or "
        f"with, not {first!r:.20}{hint}; as a file it is not there"
    )


def _is_there(file: str) -> bool:
    try:
        return Path(file).exists()
    except OSError:  # too long for a name, say
        return False


def read_labels(
    store: OfflineStore, source: str, as_of: str, clock: Callable[[], float] = time.time
) -> Labels:
    """Return the labels in the file `source`, or those that the query `source` finds.

    Those of a file keep their order; those of a query are sorted by their columns, whatever it
    orders by, so that the same query gives the same labels. Raises `InputError` naming what cannot
    be used, up to `MOST_TOLD` rows of it.
    """
    refuse_neither(source)
    asked = is_query(source)
    numbers, rows = _queried(store, source) if asked else _read(source)
    name = "the query" if asked else source
    if not len(rows):
        raise InputError(f"--labels: {name}: no rows")
    for column in (USER_ID, as_of):
        _check_column(name, column, rows.columns)
    dtype = rows.schema[as_of]
    try:
        told = rows.with_columns(parsing.identifier(USER_ID, rows.schema[USER_ID]))
        moments = rows.select(parsing.moment(as_of, dtype, Column())).to_series()
    except pl.exceptions.PolarsError:
        types = f"{USER_ID} of {rows.schema[USER_ID]} and {as_of} of {dtype}"
        raise InputError(f"--labels: {name}: expected ids and moments, got {types}") from None
    mistakes = list(_mistakes(told, rows, moments.alias(as_of), numbers, clock() + AHEAD_S))
    if mistakes:
        more = "" if len(mistakes) <= MOST_TOLD else f"\nand {len(mistakes) - MOST_TOLD} more"
        lines = (f"--labels: {name}: {line}" for line in mistakes[:MOST_TOLD])
        raise InputError("\n".join(lines) + more)
    return Labels(told, moments.dt.epoch("ms").to_numpy().astype(np.int64))


def labels_spared(labels: Labels, forgotten: Forgotten, events: pl.LazyFrame) -> Labels:
    """Return labels without those of shoppers who were forgotten, but for who is back by `events`.

    Back is who has events after the forgetting, and none before that are not deleted yet; then
    their labels from then on are kept.
    """
    users = labels.rows[USER_ID].cast(pl.String)
    until = forgotten.until(users.unique().to_list())
    if not until:
        return labels
    listed = pl.LazyFrame({USER_ID: list(until), "until": list(until.values())})
    arrived_ms = pl.col("arrived_at").dt.epoch("ms")
    told = events.select(USER_ID, "arrived_at").join(listed, USER_ID).group_by(USER_ID)
    back = told.agg((arrived_ms > pl.col("until")).all()).filter("arrived_at").collect()
    ends = [until[user] if user in set(back[USER_ID]) else _EVER_MS for user in until]
    stamps = pl.Series(ends, dtype=pl.Int64)
    begins = users.replace_strict(list(until), stamps, default=-1, return_dtype=pl.Int64)
    kept = labels.as_of_ms > begins.to_numpy()
    return Labels(labels.rows.filter(pl.Series(kept)), labels.as_of_ms[kept])


def _queried(store: OfflineStore, query: str) -> tuple[npt.NDArray[np.int64], pl.DataFrame]:
    tables = {name: store.scan(name) for name in SCHEMAS}
    try:
        asked = pl.SQLContext(tables, eager=False).execute(query)
        if _CUT.search(asked.explain(optimized=False)):
            told = "LIMIT or OFFSET takes other rows at each run; filter, or write them into a file"
            raise InputError(f"--labels: the query: {told}")
        rows = asked.collect(engine="streaming")
        rows = rows.sort(by=pl.exclude(pl.List, pl.Struct, pl.Object), maintain_order=True)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        if "relation" in reason:
            reason += f"; there are {', '.join(tables)}"
        raise InputError(f"--labels: the query cannot be run: {reason:.300}") from error
    return np.arange(1, len(rows) + 1), rows


def _read(source: str) -> tuple[npt.NDArray[np.int64], pl.DataFrame]:
    numbers, frames = [], []
    with closing(read_batches(source)) as batches:
        for batch in batches:
            if batch.bad:
                first = batch.bad[0]
                raise InputError(f"--labels: {source}: row {first.row}: {first.why}")
            numbers.append(batch.rows)
            frames.append(batch.frame)
    rows = pl.concat(frames, how="vertical_relaxed")
    if not source.endswith((".parquet", ".pq")):
        rows = rows.with_columns(_typed(rows[name]) for name in rows.columns if name != USER_ID)
    return np.concatenate(numbers), rows


def _typed(texts: pl.Series) -> pl.Series:
    """Return texts as whole numbers, numbers, or true and false where every one of them is one.

    NaN and the infinities among numbers are some too, and refused as such later.
    """
    if parsing.not_finite(texts, Column()).any():
        return texts.str.strip_chars(BLANKS).cast(pl.Float64)
    numbers = parsing.recognised(texts, Column())
    if numbers.dtype == pl.String:
        return texts
    if texts.str.to_lowercase().drop_nulls().is_in(["true", "false"]).all():
        return numbers == 1
    whole = texts.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == texts.null_count() else numbers


def _check_column(name: str, column: str, known: list[str]) -> None:
    if column not in known:
        near = get_close_matches(column, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        told = ", ".join(known)[:300]
        raise InputError(f"--labels: {name}: there is no column {column!r}; it has {told}{hint}")


def _mistakes(
    rows: pl.DataFrame,
    raw: pl.DataFrame,
    moments: pl.Series,
    numbers: npt.NDArray[np.int64],
    until_s: float,
) -> Iterator[str]:
    """Yield what is wrong with `rows`, the first of each, with the value that it had in `raw`.

    `moments` are what the column of their name came to.
    """
    as_of, bare = moments.name, pl.Series([False])
    if raw[as_of].dtype == pl.String:
        bare = Zones().bare(raw[as_of], pl.Series(numbers))
    since = parsing.seconds(as_of, raw[as_of].dtype, Column())
    user, moment = pl.col(USER_ID), pl.lit(moments)
    rules = (
        (USER_ID, user.is_null() | (user == ""), "expected a shopper's id"),
        (USER_ID, user.str.len_chars() > MAX_ID_LENGTH, f"expected at most {_LONGEST}"),
        (USER_ID, user.str.contains(CONTROL.pattern), "expected no control characters"),
        (
            as_of,
            since.is_between(1e11, LATEST_S * 1e3),
            "looks like milliseconds: divide by 1,000",
        ),
        (
            as_of,
            since.is_between(1e14, LATEST_S * 1e6),
            "looks like microseconds: divide by 1,000,000",
        ),
        (as_of, parsing.is_date(since), "looks like a date: write 2026-10-05"),
        (as_of, pl.lit(bare), _BARE),
        (as_of, moment.is_null(), "expected seconds since 1970 or ISO 8601"),
        (as_of, ~moment.dt.epoch("us").is_between(0, LATEST_S * 1e6), OUTSIDE),
        (as_of, moment.dt.epoch("us") > until_s * 1e6, AHEAD),
        *((name, ~pl.col(name).is_finite(), _INFINITE) for name in _numbers(rows, but=as_of)),
    )
    if rows.schema.get(LATITUDE) == pl.String:
        rules = (*rules, (LATITUDE, _no_number(LATITUDE), _DEGREES))
    told: dict[int, str] = {}
    for column, broken, why in rules:
        where = rows.select(broken.fill_null(value=False).arg_true()).to_series().to_list()
        for row in where:
            got = f"{column}: {why}, got {raw[column][row]!r:.60}"
            told.setdefault(row, f"row {numbers[row]}: {got}")
    yield from (told[row] for row in sorted(told))


def _no_number(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64, strict=False).is_null() & pl.col(name).is_not_null()


def _numbers(rows: pl.DataFrame, but: str) -> list[str]:
    """Return the columns of fractions, `but` one."""
    floats = (name for name, dtype in rows.schema.items() if dtype.is_float())
    return [name for name in floats if name not in {USER_ID, but}]
