"""The datasets of a home: made once, and made again to see that they are the same.

They never change, but for rows of shoppers who are forgotten: these are dropped.

CUVEE_HOME/datasets/NAME/VERSION/{data.parquet, dataset.json}
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.datasets.dataset import (
    DATA,
    DATASETS,
    MAKING,
    MANIFEST,
    Dataset,
    Declaration,
    Reference,
    Upstream,
    checksum_of,
    checksum_of_files,
    checksum_of_rows,
    described,
)
from features.datasets.erasure import drop, erased, names_one_of
from features.declared import FEATURE_SET, FEATURES_FILE, why_others
from features.errors import InputError
from features.identity.forgotten import Forgotten
from features.lock import locked
from features.offline.store import OfflineStore
from features.scratch import scratch_folder
from features.training.engine import Engine
from features.training.labels import Labels, is_query, labels_spared, read_labels, refuse_neither
from features.training.local_engine import local_chunks
from features.training.training_set import write_training_set
from features.whole_file import write_file

TRANSFORMATIONS = ("labels", "point-in-time join", "features")


class _Labelled(NamedTuple):
    labels: Labels
    sources: tuple[Upstream, ...]
    passed_over: int


class Datasets:
    """The datasets below `home`, made of its tables."""

    def __init__(self, home: Path) -> None:
        """Use what is there; nothing is created before the first dataset."""
        self._root = home / DATASETS
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
        told = self.get(reference)
        return self._folder(told.reference) / told.data

    def create(self, name: str, declaration: Declaration, engine: Engine = local_chunks) -> Dataset:
        """Make the next version of `name`; it is there whole or not at all.

        Raises `InputError` for labels that cannot be used.
        """
        if Reference.parse(name).version is not None:
            raise InputError(f"dataset: expected NAME, without a version, got {name!r:.80}")
        refuse_neither(declaration.labels)  # before it is made the name of a file
        self._refuse_unversioned(declaration.labels)
        forgotten = self._store.forgotten()  # first: who is in it may not be deleted yet
        store = self._store.at(self._store.version())  # what arrives meanwhile is the next one's
        declaration = declaration.absolute()
        labels = self._labels(declaration, store, forgotten)  # nothing is left of what cannot be
        self._root.mkdir(parents=True, exist_ok=True)
        with scratch_folder(self._root, MAKING) as folder:
            told = _made(name, 0, declaration, labels, store, folder, engine)
            told = replace(told, forgotten_ms=forgotten.latest_ms)
            return self._numbered(told, folder)

    def _numbered(self, made: Dataset, folder: Path) -> Dataset:
        """Give what was made in `folder` the next version and its place, whoever else makes one.

        Who was forgotten meanwhile is dropped; who is from now on will be found.
        """
        with locked(self._root):
            since = self._store.forgotten().since(made.forgotten_ms)
            told = replace(erased(made, folder, since), version=self._last(made.name) + 1)
            if told.data != made.data:
                (folder / made.data).unlink()
            write_file(folder / MANIFEST, told.to_json())
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
        self.get(reference)  # where there is none nothing is made
        with locked(self._root):  # nobody forgets in it meanwhile, and brings it back
            told = self.get(reference)
            for each in self.all():
                if any((s.name, s.version) == (told.name, told.version) for s in each.sources):
                    raise InputError(f"dataset: {each.reference} is made of {told.reference}")
            (self._folder(told.reference) / MANIFEST).unlink()
            (self._folder(told.reference) / told.data).unlink(missing_ok=True)
        return told

    def holding(self, user_id: str) -> list[Dataset]:
        """Return the versions with rows of a shopper."""
        paths = ((each, self._folder(each.reference) / each.data) for each in self.all())
        return [each for each, path in paths if path.exists() and names_one_of(path, [user_id])]

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
                f"{why_others(told.features_file, told.feature_codes, 'create the next version')}"
            )
        if (changed := checksum_of(self._folder(told.reference) / told.data)) != told.checksum:
            return told, changed
        store = self._store.at(told.tables)
        forgotten = self._store.forgotten().as_of(told.forgotten_ms)
        with scratch_folder(self._root, MAKING) as scratch:
            labels = self._labels(told.declaration, store, forgotten)
            again = _made(told.name, told.version, told.declaration, labels, store, scratch, engine)
            checksum = _erased_again(told, scratch)
        for before, now in zip(told.sources, again.sources, strict=True):
            if before != now:
                raise InputError(f"dataset: {told.reference}: {self._changed(before)}")
        if told.labels not in {None, again.labels}:
            raise InputError(f"dataset: {told.reference}: the labels are others than they were")
        return told, checksum

    def _changed(self, source: Upstream) -> str:
        """Return what is to be said of a source that is not what it was."""
        if source.kind == "dataset" and self.get(Reference(source.name, source.version)).erased:
            return (
                f"{source.name}@{source.version}, of which it is made, "
                "lost rows of shoppers who were forgotten since"
            )
        return f"{source.name} is not what it was"

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
        self, declaration: Declaration, store: OfflineStore, forgotten: Forgotten
    ) -> "_Labelled":
        """Return the labels of a declaration, but those of the forgotten, and where they are from.

        That is nowhere where it is the tables.
        """
        labels, sources = self._read(declaration, store)
        spared = labels_spared(labels, forgotten, store.scan("events"))
        if not len(spared):
            raise InputError("--labels: each of the rows is of a shopper who was forgotten")
        return _Labelled(spared, sources, len(labels) - len(spared))

    def _read(
        self, declaration: Declaration, store: OfflineStore
    ) -> tuple[Labels, tuple[Upstream, ...]]:
        told = declaration.labels
        if is_query(told):
            return read_labels(store, told, declaration.as_of), ()
        if declaration.is_of_a_dataset:
            dataset = self.get(Reference.parse(told))
            path = self._folder(dataset.reference) / dataset.data
            source = Upstream("dataset", dataset.name, dataset.version, checksum_of(path))
            if source.checksum != dataset.checksum:
                raise InputError(f"dataset: the data of {dataset.reference} were changed: {path}")
            labels = read_labels(store, str(path), declaration.as_of)
            return labels.without(FEATURE_SET.names), (source,)
        labels = read_labels(store, told, declaration.as_of)
        file = Path(told.partition("!")[0])
        return labels, (Upstream("file", told, None, checksum_of(file)),)

    def _refuse_unversioned(self, labels: str) -> None:
        """Raise where `labels` is the name of a dataset, without the version to be taken."""
        if labels in self.names() and not Path(labels).exists():
            told = ", ".join(f"{labels}@{version}" for version in self.versions(labels))
            raise InputError(f"--labels: {labels} is a dataset: name a version of it, {told}")

    def _folder(self, reference: Reference) -> Path:
        return self._root / reference.name / str(reference.version)


def _made(
    name: str,
    version: int,
    declaration: Declaration,
    labels: _Labelled,
    store: OfflineStore,
    folder: Path,
    engine: Engine,
) -> Dataset:
    """Write the data of a version into `folder`, and return its description."""
    rows, source, passed_over = labels
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
        passed_over=passed_over,
        feature_codes=FEATURE_SET.codes,
    )


def _erased_again(told: Dataset, folder: Path) -> str:
    """Drop from the data of a version, made anew in `folder`, what was; return their checksum."""
    path = folder / DATA
    for each in told.erased:
        users = np.array([int(user, 16) for user in each.users], np.uint64)
        drop(path, folder / "less.parquet", users)
        (folder / "less.parquet").replace(path)
    return checksum_of(path)


def _tables(store: OfflineStore) -> Iterator[Upstream]:
    for table, version, files in store.files():
        yield Upstream("table", table, version, checksum_of_files(files))
