"""One version of a dataset: what it is made of, how, what is in it, and whether it is still that.

NAME@3 ─ data.parquet, and dataset.json: declaration, sources, schema, statistics, checksum

Where rows of forgotten shoppers were dropped since, the data are in data-1.parquet, and so on.
"""

import json
import math
import re
from dataclasses import asdict, dataclass, field, replace
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import polars as pl

from features.errors import InputError
from features.training.labels import is_query

DATASETS, DATA, MANIFEST = "datasets", "data.parquet", "dataset.json"
MAKING = ".making-"
"""How the names of folders begin in which versions are made."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_REFERENCE = re.compile(r"(?P<name>[^@]+)(?:@(?P<version>\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A dataset by name, and its version; None for the latest."""

    name: str
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what NAME or NAME@VERSION names; raise `InputError`."""
        told = _REFERENCE.fullmatch(text)
        if told is None or not _NAME.fullmatch(told["name"]):
            expected = "NAME or NAME@VERSION, a name of lower case letters, digits, _ and -"
            raise InputError(f"dataset: expected {expected}, got {text!r:.80}")
        return cls(told["name"], None if told["version"] is None else int(told["version"]))

    def __str__(self) -> str:
        """Return it as it is written."""
        return self.name if self.version is None else f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a dataset is to be: labels, joined with every feature as of a column of theirs.

    `labels` is a file, a query of the tables, or another dataset (NAME@VERSION).
    """

    labels: str
    as_of: str
    mask: bool = False

    @property
    def is_of_a_dataset(self) -> bool:
        """Tell whether its labels are those of another dataset."""
        return not is_query(self.labels) and "@" in self.labels and not Path(self.labels).exists()

    def absolute(self) -> Self:
        """Return it so that it names the same file wherever it is read."""
        if is_query(self.labels) or self.is_of_a_dataset:
            return self
        file, bang, member = self.labels.partition("!")
        return replace(self, labels=f"{Path(file).absolute()}{bang}{member}")


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a dataset was made of: a table, a file, or another dataset.

    `version` is that of a table or a dataset, None for a file; `checksum` is of the bytes, of a
    table of the names and sizes of its files, which never change.
    """

    kind: str
    name: str
    version: int | None
    checksum: str


@dataclass(frozen=True, slots=True)
class Erased:
    """Rows that were dropped since because their shoppers were forgotten.

    `on` is ISO 8601 UTC, `users` are stable hashes of ids, in hex.
    """

    on: str
    users: tuple[str, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """A version as it is described beside its data."""

    name: str
    version: int
    created: str
    declaration: Declaration
    features: str
    """The schema hash of the features that were joined."""

    tables: str
    """The versions of the tables it was made of, as `OfflineStore.version` tells them."""

    sources: tuple[Upstream, ...]
    transformations: tuple[str, ...]
    schema: dict[str, str]
    statistics: dict[str, dict[str, float | int | None]]
    rows: int
    size: int
    checksum: str
    labels: str | None = None
    """The checksum of the labels; None where it was not kept yet."""

    features_file: str | None = None
    """The file that declared the features, None for our own."""

    forgotten_ms: int = 0
    """When the last forgetting was noted that was heeded as it was made."""

    passed_over: int = 0
    """Rows of the labels that are not in it: of shoppers who had been forgotten."""

    feature_codes: dict[str, str] = field(default_factory=dict)
    """What decided the values of each feature then, as `FeatureSet.codes` tells it."""

    erased: tuple[Erased, ...] = ()
    """What was dropped since, in order: all else tells what there is now."""

    @property
    def reference(self) -> Reference:
        """Return its name and version."""
        return Reference(self.name, self.version)

    @property
    def data(self) -> str:
        """Return the name of the file that holds the rows."""
        return data_name(len(self.erased))

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote; raise `ValueError`."""
        told: dict[str, Any] = json.loads(text)
        try:
            told["declaration"] = Declaration(**told["declaration"])
            told["sources"] = tuple(Upstream(**each) for each in told["sources"])
            told["transformations"] = tuple(told["transformations"])
            told["erased"] = tuple(
                Erased(**(each | {"users": tuple(each["users"])}))
                for each in told.get("erased", ())
            )
            return cls(**told)
        except (KeyError, TypeError) as error:
            raise ValueError(str(error)) from None


def data_name(erasures: int) -> str:
    """Return the name of the file that holds the rows after so many erasures."""
    return f"data-{erasures}.parquet" if erasures else DATA


def checksum_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def checksum_of_rows(rows: pl.DataFrame) -> str:
    """Return the SHA-256 of rows as they are written, in hex."""
    file = BytesIO()
    rows.write_parquet(file)
    return sha256(file.getbuffer()).hexdigest()


def checksum_of_files(files: list[tuple[str, int]]) -> str:
    """Return the SHA-256 of the names and sizes of files that never change, in hex."""
    return sha256(json.dumps(sorted(files)).encode()).hexdigest()


def described(path: Path) -> tuple[dict[str, str], dict[str, dict[str, float | int | None]], int]:
    """Return types and statistics of the columns of a Parquet file, and its rows."""
    frame = pl.scan_parquet(path)
    schema = {name: str(dtype) for name, dtype in frame.collect_schema().items()}
    asked: list[pl.Expr] = [pl.len().alias("rows")]
    for name, dtype in frame.collect_schema().items():
        column = pl.col(name)
        asked.append(column.null_count().alias(f"{name} nulls"))
        asked.append(column.n_unique().alias(f"{name} distinct"))
        if dtype.is_numeric() or dtype == pl.Boolean:
            number = column.cast(pl.Float64)
            asked += [
                number.min().alias(f"{name} min"),
                number.max().alias(f"{name} max"),
                number.mean().alias(f"{name} mean"),
                number.std().alias(f"{name} std"),
            ]
    (told,) = frame.select(asked).collect(engine="streaming").rows(named=True)
    rows = told.pop("rows")
    statistics: dict[str, dict[str, float | int | None]] = {name: {} for name in schema}
    for key, value in told.items():
        name, _, what = key.rpartition(" ")
        statistics[name][what] = _finite(value)
    return schema, statistics, rows


def _finite(value: float | None) -> float | int | None:
    if isinstance(value, float):
        return round(value, 9) if math.isfinite(value) else None
    return value
