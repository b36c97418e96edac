"""The datasets of a home: made once, never changed, and made again to see that they are the same.

CUVEE_HOME/datasets/NAME/VERSION/{data.parquet, dataset.json}
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from features.dataset import (
    DATA,
    MANIFEST,
    Dataset,
    Declaration,
    Reference,
    Source,
    checksum_of,
    checksum_of_files,
    checksum_of_rows,
    described,
)
from features.declared import FEATURE_SET, FEATURES_FILE, why_others
from features.engine import Engine
from features.errors import InputError
from features.kept_events import USER_ID
from features.labels import Labels, is_query, read_labels, refuse_neither
from features.local_engine import local_chunks
from features.lock import locked
from features.offline import OfflineStore
from features.training_set import write_training_set

TRANSFORMATIONS = ("labels", "point-in-time join", "features")


class Datasets:
    """The datasets below `home`, made of its tables."""

    def __init__(self, home: Path) -> None:
        """Use what is there; nothing is created before the first dataset."""
        self._root = home / "datasets"
        self._store = OfflineStore(home)

    def names(self) -> list[str]:
        """Return the names of all datasets."""
        return sorted(path.name for path in self._root.glob("*") if self.versions(path.name))

    def versions(self, name: str) -> list[int]:
        """Return the versions of a dataset, in order."""
        paths = (self._root / name).glob(f"*/{MANIFEST}")
        return sorted(int(path.parent.name) for path in paths if path.parent.name.isdigit())

    def get(self, reference: Reference) -> Dataset:
        """Return a dataset; raise `InputError` where there is none, or it cannot be read."""
        versions = self.versions(reference.name)
        if not versions:
            known = ", ".join(self.names()) or "none"
            raise InputError(f"dataset: there is no {reference.name!r:.80}; there are: {known}")
        version = versions[-1] if reference.version is None else reference.version
        if version not in versions:
            told = ", ".join(map(str, versions))
            raise InputError(f"dataset: {reference.name} has no version {version}, it has {told}")
        path = self._folder(Reference(reference.name, version)) / MANIFEST
        try:
            return Dataset.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"dataset: {path}: {error}") from error

    def path(self, reference: Reference) -> Path:
        """Return where the data of a version lie."""
        return self._folder(self.get(reference).reference) / DATA

    def create(self, name: str, declaration: Declaration, engine: Engine = local_chunks) -> Dataset:
        """Make the next version of `name`; it is there whole or not at all.

        Raises `InputError` for labels that cannot be used.
        """
        if Reference.parse(name).version is not None:
            raise InputError(f"dataset: expected NAME, without a version, got {name!r:.80}")
        refuse_neither(declaration.labels)  # before it is made the name of a file
        store = self._store.at(self._store.version())  # what arrives meanwhile is the next one's
        declaration = declaration.absolute()
        labels = self._labels(declaration, store)  # first: nothing is left of what cannot be
        self._root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".") as scratch:
            told = _made(name, 0, declaration, labels, store, Path(scratch), engine)
            return self._numbered(told, Path(scratch))

    def _numbered(self, made: Dataset, folder: Path) -> Dataset:
        """Give what was made in `folder` the next version and its place, whoever else makes one."""
        with locked(self._root):
            told = replace(made, version=self._last(made.name) + 1)
            (folder / MANIFEST).write_text(told.to_json(), encoding="utf-8")
            folder.chmod(0o755)  # a temporary one is for nobody else
            self._folder(told.reference).parent.mkdir(exist_ok=True)
            folder.rename(self._folder(told.reference))
        return told

    def _last(self, name: str) -> int:
        """Return the highest version that there ever was, 0 for none."""
        folders = (path.name for path in (self._root / name).glob("*"))
        return max((int(each) for each in folders if each.isdigit()), default=0)

    def delete(self, reference: Reference) -> Dataset:
        """Delete a version for good, and return what it was; its number is not used again.

        Raises `InputError` where another is made of it.
        """
        told = self.get(reference)
        for each in self.all():
            if any((s.name, s.version) == (told.name, told.version) for s in each.sources):
                raise InputError(f"dataset: {each.reference} is made of {told.reference}")
        (self._folder(told.reference) / MANIFEST).unlink()
        (self._folder(told.reference) / DATA).unlink(missing_ok=True)
        return told

    def holding(self, user_id: str) -> list[Dataset]:
        """Return the versions with rows of a shopper."""
        whose = pl.col(USER_ID).cast(pl.String) == user_id
        return [
            each
            for each in self.all()
            if len(pl.scan_parquet(self.path(each.reference)).filter(whose).head(1).collect())
        ]

    def all(self) -> list[Dataset]:
        """Return all versions of all datasets."""
        return [
            self.get(Reference(n, version)) for n in self.names() for version in self.versions(n)
        ]

    def rebuilt(self, reference: Reference, engine: Engine = local_chunks) -> tuple[Dataset, str]:
        """Return a version, and the checksum of the same made anew of the same sources.

        That of its data, where these are not what was made. Raises `InputError` where a source is
        not what it was, or the features are others.
        """
        told = self.get(reference)
        if told.features != FEATURE_SET.schema_hash:
            raise InputError(
                f"dataset: {told.reference} has features of schema {told.features}, "
                f"this program computes {FEATURE_SET.schema_hash}; "
                f"{why_others(told.features_file, 'create the next version')}"
            )
        if (changed := checksum_of(self._folder(told.reference) / DATA)) != told.checksum:
            return told, changed
        store = self._store.at(told.tables)
        with tempfile.TemporaryDirectory() as scratch:
            labels = self._labels(told.declaration, store)
            again = _made(
                told.name, told.version, told.declaration, labels, store, Path(scratch), engine
            )
        for before, now in zip(told.sources, again.sources, strict=True):
            if before != now:
                raise InputError(f"dataset: {told.reference}: {before.name} is not what it was")
        if told.labels not in {None, again.labels}:
            raise InputError(f"dataset: {told.reference}: the labels are others than they were")
        return told, again.checksum

    def lineage(self, reference: Reference) -> Iterator[Dataset]:
        """Yield a version, and all that it is made of, however far back, each once."""
        waiting, met = [reference], set[str]()
        while waiting:
            told = self.get(waiting.pop(0))
            if str(told.reference) not in met:
                met.add(str(told.reference))
                yield told
                waiting += [
                    Reference(source.name, source.version)
                    for source in told.sources
                    if source.kind == "dataset"
                ]

    def _labels(
        self, declaration: Declaration, store: OfflineStore
    ) -> tuple[Labels, tuple[Source, ...]]:
        """Return the labels of a declaration, and where they come from, if not from the tables."""
        told = declaration.labels
        if is_query(told):
            return read_labels(store, told, declaration.as_of), ()
        if declaration.is_of_a_dataset:
            dataset = self.get(Reference.parse(told))
            path = self._folder(dataset.reference) / DATA
            source = Source("dataset", dataset.name, dataset.version, checksum_of(path))
            if source.checksum != dataset.checksum:
                raise InputError(f"dataset: the data of {dataset.reference} were changed: {path}")
            labels = read_labels(store, str(path), declaration.as_of)
            return labels.without(FEATURE_SET.names), (source,)
        labels = read_labels(store, told, declaration.as_of)
        file = Path(told.partition("!")[0])
        return labels, (Source("file", told, None, checksum_of(file)),)

    def _folder(self, reference: Reference) -> Path:
        return self._root / reference.name / str(reference.version)


def _made(
    name: str,
    version: int,
    declaration: Declaration,
    labels: tuple[Labels, tuple[Source, ...]],
    store: OfflineStore,
    folder: Path,
    engine: Engine,
) -> Dataset:
    """Write the data of a version into `folder`, and return its description."""
    rows, source = labels
    path = folder / DATA
    write_training_set(store, rows, path, mask=declaration.mask, engine=engine)
    schema, statistics, count = described(path)
    return Dataset(
        name,
        version,
        datetime.now(UTC).isoformat(timespec="seconds"),
        declaration,
        FEATURE_SET.schema_hash,
        store.version(),
        (*source, *_tables(store)),
        TRANSFORMATIONS,
        schema,
        statistics,
        count,
        path.stat().st_size,
        checksum_of(path),
        checksum_of_rows(rows.rows),
        FEATURES_FILE,
    )


def _tables(store: OfflineStore) -> Iterator[Source]:
    for table, version, files in store.files():
        yield Source("table", table, version, checksum_of_files(files))
