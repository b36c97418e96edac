"""A registry that several homes share: a bucket, or a directory that all of them mount.

blobs/sha256/HEX         every file of every bundle, once
manifests/VERSION.json   written when all its blobs are there: then it is a bundle
history/00000001.json    who moved which alias; the newest says what each alias names
trials/KEY.HOME          what a home counted of a step of a trial

Homes keep what serves: a pull brings a bundle to CUVEE_HOME/models, where it is read. Whoever
moves an alias moves it here, and their own home follows; other homes follow when they look.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import EllipsisType

from models.alias_move import AliasMove
from models.alias_registry import Cleared
from models.bundle import add_bundle, read_trusted, require_known, require_not_newer
from models.canary import Canary
from models.canary_exchange import TRIALS, hear_counts, over, tell_counts
from models.errors import (
    AwayError,
    BehindError,
    BundleError,
    ConflictError,
    ModelsError,
    RegistryError,
)
from models.journal import Aliases, Journal, Record, record_after
from models.manifest import MANIFEST, VERSION, FileSum, Manifest
from models.model import Model
from models.registry import Registry
from models.storage import Storage

BLOBS = "blobs/sha256"
MANIFESTS = "manifests"

_UNCHANGED = "nothing was changed"
_UNSURE = "python -m models history --shared tells whether it was moved"

YOUNG_S = 86_400.0
"""Blobs that are younger may be of a bundle whose manifest is still to come."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """How many files of a bundle were sent, their bytes, and how many were there already."""

    version: str
    sent: int
    size: int
    there: int


class SharedRegistry:
    """A registry beside that of a home; all methods raise `AwayError` where it is not reached.

    Whoever only reads is told so of a directory that is not there; the first to write makes it.
    """

    def __init__(self, storage: Storage, registry: Registry) -> None:
        """Push from, pull to and move aliases with the registry of a home."""
        self._storage = storage
        self._registry = registry
        self._journal = Journal(storage)

    def __str__(self) -> str:
        """Return where it is."""
        return str(self._storage)

    def aliases(self) -> Aliases:
        """Return what the aliases name."""
        with self._reaching():
            last = self._journal.last()
        return last.aliases if last else Aliases()

    def history(self) -> Iterator[Record]:
        """Yield the moves of aliases, newest first."""
        with self._reaching():
            self._storage.require()
            yield from self._journal.newest_first()

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all bundles that this program can read, newest first."""
        manifests = []
        with self._reaching():
            self._storage.require()
            for name in sorted(self._storage.entries(MANIFESTS), reverse=True):
                with suppress(BundleError):
                    manifest = Manifest.from_json(self._storage.read(f"{MANIFESTS}/{name}"))
                    require_not_newer(manifest)
                    manifests.append(manifest)
        return manifests

    def push(self, name: str, *, anew: bool = False) -> Pushed:
        """Send a bundle that is whole: the files that are not there, then its manifest.

        With `anew` all files are sent, whatever is there. A manifest that somebody signed is not
        replaced by one without a signature. Raises `RegistryError` or `BundleError`.
        """
        version = self._registry.resolve(name)
        model = self._registry.load(version)
        directory, manifest = self._registry.directory / version, self._registry.manifest(version)
        with self._reaching():
            files = {told: directory / file for file, told in manifest.files.items()}
            missing = files if anew else self._missing(files)
            self._send(missing)
            if self._replaces_pushed(manifest):
                self._storage.upload(directory / MANIFEST, f"{MANIFESTS}/{version}.json")
            self._send(self._missing(files))  # what went before a manifest named it
        del model  # held until all is sent
        size = sum(told.size for told in missing)
        return Pushed(version, len(missing), size, len(set(manifest.files.values())) - len(missing))

    def _missing(self, files: Mapping[FileSum, Path]) -> dict[FileSum, Path]:
        there = self._storage.entries(BLOBS)
        return {
            told: path
            for told, path in files.items()
            if told.sha256 not in there or there[told.sha256].size != told.size
        }

    def _send(self, files: Mapping[FileSum, Path]) -> None:
        for told, path in files.items():
            self._storage.upload(path, _blob(told))

    def _replaces_pushed(self, manifest: Manifest) -> bool:
        """Tell whether a manifest is to be sent: not where it is there, or was signed since."""
        try:
            there = self._manifest(manifest.version)
        except BundleError:  # damaged
            return True
        return there is None or manifest.signature not in {None, there.signature}

    def pull(self, name: str) -> str:
        """Bring a bundle to the home, whole or not at all, and return its version.

        What is there already is looked at: it is brought anew where it is damaged, or not signed
        as told. Files that a bundle of the home has are copied from there. Raises `RegistryError`
        or `BundleError` for what is not there, damaged, not signed as told or a newer program's.
        """
        return self._whole(self._resolve(name)).version

    def _whole(self, version: str) -> Model:
        """Return a model of the home, brought anew where it is damaged or not signed as told.

        Where nobody pushed it, what is wrong with it is raised.
        """
        try:
            return self._registry.load(version)
        except (BundleError, RegistryError):
            pushed = self._pushed(version)
            if pushed is None and self._registry.has(version):
                raise
        self._bring(version, pushed)
        return self._registry.load(version)

    def _is_trusted(self, version: str) -> bool:
        """Tell whether the home has a bundle, signed as told; files are looked at by who loads."""
        try:
            read_trusted(self._registry.directory / version, self._registry.trusted)
        except BundleError:
            return False
        return True

    def _pushed(self, version: str) -> Manifest | None:
        with self._reaching():
            self._storage.require()
            return self._manifest(version)

    def _bring(self, version: str, manifest: Manifest | None) -> None:
        if manifest is None:
            raise RegistryError(f"there is no model {version} in {self}")
        if self._registry.trusted is not None:
            self._registry.trusted.require(manifest)
        require_known(manifest)
        fetch = partial(self._fetch, manifest, self._known_files())
        add_bundle(self._registry.directory, manifest, fetch, anew=True)

    def _manifest(self, version: str) -> Manifest | None:
        """Return the manifest that was pushed, None where there is none; raise `BundleError`."""
        name = f"{MANIFESTS}/{version}.json"
        try:
            manifest = Manifest.from_json(self._storage.read(name))
        except FileNotFoundError:
            return None
        if manifest.version != version:
            raise BundleError(f"{name}: of {manifest.version}")
        return manifest

    def canary(self) -> Canary | None:
        """Return the model on trial and how far it is."""
        return self.aliases().canary

    def promote(
        self,
        name: str,
        why: str = "",
        who: str | None = None,
        *,
        serves: str | EllipsisType | None = ...,
        canary: Canary | EllipsisType | None = ...,
    ) -> str:
        """Make a model that loads and ranks the production model, here and in the home.

        Raises as `Registry.promote`, and changes nothing.
        """
        with _telling(_UNCHANGED):
            present = self.aliases()
            version = self._sent(name)
        if present.production != version:
            self._move(AliasMove.promote(version, present, serves, canary), why, who, version)
            return version
        self.follow()
        if self._registry.production() != version:  # the home moved on its own meanwhile
            self._registry.promote(version, why, who)
        return version

    def start_canary(self, canary: Canary, why: str = "", who: str | None = None) -> Canary:
        """Begin the trial of a model, here and in the home, as `Registry.start_canary` does."""
        with _telling(_UNCHANGED):
            canary = replace(canary, version=self._resolve(canary.version))
            move = AliasMove.start_canary(canary, self.aliases())
            self._sent(canary.version)
        self._move(move, why, who, canary.version)
        return canary

    def move_canary(
        self, canary: Canary, wanted: Canary | None, why: str = "", who: str | None = None
    ) -> None:
        """Go on to another step, or end the trial, here and in the home."""
        self._move(AliasMove.move_canary(canary, wanted), why, who)

    def rollback(self, why: str = "", who: str | None = None, *, serves: str | None = None) -> str:
        """Make the previous model the production model again, here and in the home.

        Raises as `Registry.rollback`, and changes nothing.
        """
        with _telling(_UNCHANGED):
            present = self.aliases()
            if present.previous is None:
                raise RegistryError(f"there is no previous model to roll back to in {self}")
            version = self._sent(present.previous)
        self._move(AliasMove.roll_back(version, present, serves), why, who, version)
        return version

    def set_candidate(self, name: str, why: str = "", who: str | None = None) -> None:
        """Name the model that waits for promotion, here and in the home."""
        with _telling(_UNCHANGED):
            version = self._sent(name)
        self._move(AliasMove.set_candidate(version), why, who, version)

    def follow(self) -> Record | None:
        """Let the home's aliases name what these do, and return the record that was followed.

        Returns None where there is no newer record. What is to serve is pulled and tried first;
        raises `RegistryError` or `BundleError`, and the home goes on as it was. A previous model
        or a candidate that cannot be pulled is named by no alias of the home.
        """
        with self._reaching():
            record = self._journal.last()
            if record is None:
                self._storage.require()
        if record is None or record.number <= self._registry.followed(str(self)):
            return None
        aliases = record.aliases
        if aliases.production is not None:
            self._pull_missing(aliases.production)
        canary = None if aliases.canary is None else aliases.canary.version
        for version in filter(None, (aliases.previous, aliases.candidate, canary)):
            self._pull_if_whole(version)
        self._adopt(record)
        return record

    def _adopt(self, record: Record) -> None:
        """Let the home name what is named; what is damaged there by now is brought anew."""
        version = record.aliases.production
        try:
            self._registry.adopt(record, str(self))
        except BundleError:
            if version is None:
                raise
            self._whole(version)
            self._registry.adopt(record, str(self))

    def _pull_missing(self, version: str) -> None:
        version = self._resolve(version)
        if not self._is_trusted(version):
            self._bring(version, self._pushed(version))

    def _pull_if_whole(self, version: str) -> None:
        """Pull a bundle unless it is gone or damaged; raise `AwayError`."""
        try:
            self._pull_missing(version)
        except AwayError:
            raise
        except (BundleError, RegistryError):
            return

    def exchange_counts(self) -> None:
        """Tell other homes what this one counted of the model on trial, and note what they told.

        Raises `AwayError` where that cannot be sent, read or kept.
        """
        canary, home = self._registry.canary(), self._registry.directory.parent
        if canary is None:
            return
        try:
            tell_counts(self._storage, home, canary)
            hear_counts(self._storage, home, canary)
        except OSError as error:
            told = f"{error.strerror or error}"
            raise AwayError(f"counts of the trial, in {self} or {home}: {told}") from error

    def clear(self, keep: int, *, dry_run: bool = False) -> Cleared:
        """Remove the manifests of all but the newest `keep` and those with an alias.

        Then blobs that no manifest names, but for those younger than a day: the manifest of a
        bundle comes after its blobs. What this program cannot read keeps all blobs. What homes
        told of trials goes a day after them.
        """
        named = {each: alias for alias, each in self.aliases().versions().items()}
        manifests = self.manifests()
        removed = [each for each in manifests[keep:] if each.version not in named]
        with self._reaching():
            if dry_run:
                left = [each for each in manifests if each not in removed]
                loose = self._loose(left, known=len(manifests))
            else:
                named |= self._remove_unnamed(removed)
                removed = [each for each in removed if each.version not in named]
                left = self.manifests()  # somebody may have pushed meanwhile
                loose = self._removed(self._loose(left, known=len(left)), known=len(left))
            told = over(self._storage, self.canary(), time.time() - YOUNG_S)
            for name in () if dry_run else told:
                self._storage.remove(f"{TRIALS}/{name}")
        kept = {
            each.version: named[each.version] for each in manifests[keep:] if each not in removed
        }
        versions = tuple(each.version for each in removed)
        size = sum(loose.values()) + sum(told.values())
        return Cleared(versions, size, kept, len(loose))

    def _remove_unnamed(self, manifests: list[Manifest]) -> dict[str | None, str]:
        """Remove manifests, bring back those that were named meanwhile; return what is named."""
        for each in manifests:
            self._storage.remove(f"{MANIFESTS}/{each.version}.json")
        named = {each: alias for alias, each in self.aliases().versions().items()}
        for each in manifests:
            if each.version in named:
                with suppress(FileExistsError):
                    self._storage.create(f"{MANIFESTS}/{each.version}.json", each.to_json())
        return named

    def _removed(self, loose: dict[str, int], known: int) -> dict[str, int]:
        """Remove blobs, until somebody pushes: what that needs is for another time to tell."""
        removed = {}
        for name, size in loose.items():
            if len(self._storage.entries(MANIFESTS)) != known:
                break
            self._storage.remove(f"{BLOBS}/{name}")
            removed[name] = size
        return removed

    def _loose(self, left: list[Manifest], known: int) -> dict[str, int]:
        """Return the size of each blob that nothing needs."""
        if len(self._storage.entries(MANIFESTS)) != known:
            return {}
        needed = {told.sha256 for each in left for told in each.files.values()}
        old = time.time() - YOUNG_S
        return {
            name: entry.size
            for name, entry in self._storage.entries(BLOBS).items()
            if name not in needed and entry.written < old
        }

    def _sent(self, name: str) -> str:
        """Return the version of a model that is in both registries, loads and ranks."""
        version = self._resolve(name)
        self._whole(version).warm()
        return self.push(version).version

    def _resolve(self, name: str) -> str:
        version = self.aliases().version_of(name)
        if version is None:
            with self._reaching():
                self._storage.require()
            raise RegistryError(f"there is no {name} model in {self}")
        if not VERSION.fullmatch(version):
            raise RegistryError(
                f"there is no model {version!r:.80}; see python -m models list, also with --shared"
            )
        return version

    def _move(self, move: AliasMove, why: str, who: str | None, sent: str | None = None) -> None:
        """Append a record, and let the home follow; raise `BehindError` where it cannot.

        The model that was `sent` for it is there then, though a `clear` took it for one that
        nobody names.
        """
        while not self._is_appended(move, why, who):
            pass
        moved = f"it is moved in {self}, and this home follows when it can"
        try:
            with _telling(moved):
                if sent is not None and self._pushed(sent) is None:
                    self.push(sent)
                self.follow()
        except AwayError:
            raise
        except ModelsError as error:
            raise BehindError(f"{error}; {moved}") from error

    def _is_appended(self, move: AliasMove, why: str, who: str | None) -> bool:
        """Append a record; tell whether nobody was quicker: else what they did may not matter."""
        with _telling(_UNCHANGED), self._reaching():
            last = self._journal.last()
        present = last.aliases if last else Aliases()
        if not move.fits(present):
            raise ConflictError(last)
        record = record_after(last, move.action, move.change(present), why, who)
        try:
            with _telling(_UNSURE), self._reaching():
                self._journal.append(record)
        except ConflictError:
            return False
        return True

    def _known_files(self) -> dict[FileSum, Path]:
        """Return where the home has files of bundles, by what is in them."""
        return {
            told: self._registry.directory / each.version / name
            for each in self._registry.manifests()
            for name, told in each.files.items()
        }

    def _fetch(self, manifest: Manifest, known: dict[FileSum, Path], name: str, path: Path) -> None:
        told = manifest.files[name]
        if told in known:
            with suppress(OSError):
                shutil.copyfile(known[told], path)
                if FileSum.of_file(path) == told:
                    return
        with self._reaching():
            try:
                self._storage.download(_blob(told), path)
            except FileNotFoundError:
                raise BundleError(f"{name}: blob {told.sha256} is missing in {self}") from None
        found = FileSum.of_file(path)
        if found != told:
            raise BundleError(
                f"{name}: blob {told.sha256} is damaged in {self}: expected {told.size} bytes of "
                f"that checksum, got {found.size} of {found.sha256[:12]}…; push it --anew"
            )

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AwayError(f"{self}: {error.strerror or error}") from error


@contextmanager
def _telling(outcome: str) -> Iterator[None]:
    """Add to what is told of a registry that is away what became of the move."""
    try:
        yield
    except AwayError as error:
        raise AwayError(f"{error}; {outcome}") from error


def _blob(told: FileSum) -> str:
    return f"{BLOBS}/{told.sha256}"
