"""A registry that several homes share: a bucket, or a directory that all of them mount.

blobs/sha256/HEX         every file of every bundle, once
manifests/VERSION.json   written when all its blobs are there: then it is a bundle
history/00000001.json    who moved which alias; the newest says what each alias names
trials/KEY.HOME          what a home counted of a step of a trial

Homes keep what serves: a pull brings a bundle to CUVEE_HOME/models, where it is read. Whoever
moves an alias moves it here, and their own home follows; other homes follow when they look.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import EllipsisType

from models.alias_move import AliasMove
from models.alias_registry import Cleared
from models.canary import Canary
from models.canary_exchange import hear_counts, tell_counts
from models.errors import (
    UNSURE,
    AwayError,
    BehindError,
    BundleError,
    ConflictError,
    DiskError,
    ModelsError,
    RegistryError,
)
from models.journal import Aliases, Journal, Record, record_after, this_user
from models.leftovers import Leftovers
from models.manifest import VERSION, Manifest
from models.pushed_models import Pushed, PushedModels
from models.registry import Registry
from models.storage import Storage, reaching

_UNCHANGED = "nothing was changed"


class SharedRegistry:
    """A registry beside that of a home; all methods raise `AwayError` where it is not reached.

    Whoever only reads is told so of a directory that is not there; the first to write makes it.
    """

    def __init__(self, storage: Storage, registry: Registry) -> None:
        """Push from, pull to and move aliases with the registry of a home."""
        self._storage = storage
        self._registry = registry
        self._journal = Journal(storage)
        self._pushed = PushedModels(storage, registry)

    def __str__(self) -> str:
        """Return where it is."""
        return str(self._storage)

    def aliases(self) -> Aliases:
        """Return what the aliases name."""
        with reaching(self._storage):
            last = self._journal.last()
        return last.aliases if last else Aliases()

    def history(self) -> Iterator[Record]:
        """Yield the moves of aliases, newest first."""
        with reaching(self._storage):
            self._storage.require()
            yield from self._journal.newest_first()

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all bundles that this program can read, newest first."""
        return self._pushed.manifests()

    def push(self, name: str, *, anew: bool = False) -> Pushed:
        """Send a bundle of the home; raise as `PushedModels.push`, or `RegistryError`."""
        return self._pushed.push(self._registry.resolve(name), anew=anew)

    def pull(self, name: str) -> str:
        """Bring a bundle to the home, whole or not at all, and return its version.

        What is there already is looked at: it is brought anew where it is damaged, or not signed
        as told. Files that a bundle of the home has are copied from there. Raises `RegistryError`
        or `BundleError` for what is not there, damaged, not signed as told or a newer program's.
        """
        return self._pushed.whole(self._resolve(name)).version

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
        with _telling(_UNCHANGED):
            self.follow()
            if self._registry.production() != version:  # it moved on its own, or others did
                self._come_back(version, why, who)
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
        with reaching(self._storage):
            record = self._journal.last()
            if record is None:
                self._storage.require()
        if record is None or record.number <= self._registry.followed(str(self)):
            return None
        aliases = record.aliases
        if aliases.production is not None:
            self._bring_missing(aliases.production)
        canary = None if aliases.canary is None else aliases.canary.version
        for version in filter(None, (aliases.previous, aliases.candidate, canary)):
            self._bring_if_whole(version)
        self._adopt(record)
        return record

    def _come_back(self, version: str, why: str, who: str | None) -> None:
        """Let the home follow once more; raise `ConflictError` where `version` serves no more."""
        with reaching(self._storage):
            last = self._journal.last()
        if last is None or last.aliases.production != version:
            raise ConflictError(last)
        back = f"promote by {who or this_user()}: {why or 'no reason told'}"
        try:
            self._adopt(last, back)
        except DiskError as error:
            raise BehindError(f"{error}; it serves in {self}, and not here") from error

    def _adopt(self, record: Record, again: str | None = None) -> None:
        """Let the home name what is named; what is damaged there by now is brought anew."""
        version = record.aliases.production
        try:
            self._registry.adopt(record, str(self), again)
        except BundleError:
            if version is None:
                raise
            self._pushed.whole(version)
            self._registry.adopt(record, str(self), again)

    def _bring_missing(self, version: str) -> None:
        self._pushed.bring_missing(self._resolve(version))

    def _bring_if_whole(self, version: str) -> None:
        """Pull a bundle unless it is gone or damaged; raise `AwayError`."""
        try:
            self._bring_missing(version)
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
        """Remove all bundles but the newest `keep` and those with an alias: see `Leftovers`."""
        left = Leftovers(self._storage, self.manifests, self.aliases)
        return left.clear(keep, dry_run=dry_run)

    def _sent(self, name: str) -> str:
        """Return the version of a model that is in both registries, loads and ranks."""
        version = self._resolve(name)
        self._pushed.whole(version).warm()
        return self.push(version).version

    def _resolve(self, name: str) -> str:
        version = self.aliases().version_of(name)
        if version is None:
            with reaching(self._storage):
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
                if sent is not None and self._pushed.manifest(sent) is None:
                    self.push(sent)
                self.follow()
        except AwayError:
            raise
        except ModelsError as error:
            raise BehindError(f"{error}; {moved}") from error

    def _is_appended(self, move: AliasMove, why: str, who: str | None) -> bool:
        """Append a record; tell whether nobody was quicker: else what they did may not matter."""
        with _telling(_UNCHANGED), reaching(self._storage):
            last = self._journal.last()
        present = last.aliases if last else Aliases()
        if not move.fits(present):
            raise ConflictError(last)
        record = record_after(last, move.action, move.change(present), why, who)
        try:
            with _telling(UNSURE), reaching(self._storage):
                self._journal.append(record)
        except ConflictError:
            return False
        return True


@contextmanager
def _telling(outcome: str) -> Iterator[None]:
    """Add to what is told of a registry that is away what became of the move."""
    try:
        yield
    except AwayError as error:
        raise AwayError(f"{error}; {outcome}") from error
