"""The models of one home, and which of them serves.

models/VERSION/            bundles
models/aliases/production  the version that serves
               previous    the one before, to roll back to
               candidate   trained, and not promoted (yet)
               canary      on trial beside it, with its step and share, in JSON
models/history/00000001.json  who moved which alias, when and why
reports/VERSION.html          the page about the run that made a bundle

An alias is a file that is replaced in one step; whoever reads it sees the old or the new one.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import EllipsisType
from typing import TypeGuard

import orjson

from features.lock import locked
from models.alias_move import AliasMove
from models.alias_registry import Cleared
from models.bundle import read_bundle, read_ladder, require_not_newer
from models.canary import Canary
from models.directory import remove_directory, replace_file
from models.errors import BundleError, ConflictError, DiskError, RegistryError
from models.journal import (
    CANARY,
    CANDIDATE,
    PREVIOUS,
    PRODUCTION,
    Aliases,
    Journal,
    Record,
    record_after,
)
from models.lease import taken
from models.manifest import VERSION, Manifest, read_manifest
from models.model import Model
from models.signature import TrustedKeys
from models.storage import Directory

log = logging.getLogger(__name__)

_PLAIN = (PREVIOUS, PRODUCTION, CANDIDATE)
"""Aliases whose files hold a version; in this order what serves is never lost."""

_NO_BUNDLES = {"aliases", "history"}


class Registry:
    """The registry of one home. Reading needs no lock; one process at a time moves aliases."""

    def __init__(self, home: Path, trusted: TrustedKeys | None = None) -> None:
        """Use `home/models`; nothing is created before the first write.

        With `trusted` keys, only what one of them signed is loaded.
        """
        self.directory = home / "models"
        self.trusted = trusted
        self._aliases = self.directory / "aliases"
        self._reports = home / "reports"
        self._journal = Journal(Directory(self.directory))

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all bundles that this program can read, newest first."""
        manifests = []
        for directory in self._bundles():
            with suppress(BundleError):
                manifests.append(_readable(directory))
        return sorted(manifests, key=lambda each: each.version, reverse=True)

    def unreadable(self) -> dict[str, BundleError]:
        """Return what is wrong with the bundles that `manifests` leaves out, by version."""
        unreadable = {}
        for directory in self._bundles():
            try:
                _readable(directory)
            except BundleError as error:
                unreadable[directory.name] = error
        return unreadable

    def astray(self) -> dict[Path, str]:
        """Return what aliases name that is no model of this home, by the file of the alias."""
        told = {self._aliases / name: self._alias(name) for name in _PLAIN}
        canary = self.aliases().canary
        told[self._aliases / CANARY] = self._alias(CANARY) if canary is None else canary.version
        return {
            path: version or ""
            for path, version in told.items()
            if path.exists() and not self._is_there(version)
        }

    def production(self) -> str | None:
        """Return the version that serves."""
        return self._alias(PRODUCTION)

    def previous(self) -> str | None:
        """Return the version that served before."""
        return self._alias(PREVIOUS)

    def candidate(self) -> str | None:
        """Return the version that was trained last and not promoted."""
        return self._alias(CANDIDATE)

    def canary(self) -> Canary | None:
        """Return the model on trial and how far it is; raise `RegistryError` if that is unclear."""
        raw = self._alias(CANARY)
        if raw is None:
            return None
        try:
            return Canary.of(orjson.loads(raw))
        except (TypeError, ValueError) as error:
            why = f"not a canary ({error}); one that is started takes its place"
            raise RegistryError(f"{self._aliases / CANARY}: {why}") from None

    def resolve(self, name: str) -> str:
        """Return the version that `name`, a version or an alias, stands for.

        Raises `RegistryError` where there is none.
        """
        version = self.aliases().version_of(name)
        if version is None:
            raise RegistryError(f"there is no {name} model")
        if not self._is_there(version):
            raise RegistryError(f"there is no model {version!r:.80}; see python -m models list")
        return version

    def has(self, version: str) -> bool:
        """Tell whether there is a bundle of that version, whatever it is worth."""
        return self._is_there(version)

    def manifest(self, version: str) -> Manifest:
        """Return a bundle's manifest; raise `RegistryError` or `BundleError`."""
        return read_manifest(self.directory / self.resolve(version))

    def load(self, version: str) -> Model:
        """Return the verified model; raise `RegistryError` or `BundleError`.

        As long as it lives, `clear` leaves its bundle alone.
        """
        return read_bundle(self.directory / self.resolve(version), self.trusted)

    def load_ladder(self, version: str) -> Model:
        """Return what a bundle that `load` refuses can still answer from; raise as `load` does."""
        return read_ladder(self.directory / self.resolve(version), self.trusted)

    def report_path(self, version: str) -> Path:
        """Return where the page about a model lies: beside its bundle, which nothing changes."""
        return self._reports / f"{version}.html"

    def aliases(self) -> Aliases:
        """Return what the aliases name, whether it is there or not.

        A trial of which nothing can be made is none: it must not keep who serves from going.
        """
        try:
            canary = self.canary()
        except RegistryError:
            canary = None
        return Aliases(self.production(), self.previous(), self.candidate(), canary)

    def history(self) -> Iterator[Record]:
        """Yield the moves of aliases, newest first."""
        return self._journal.newest_first()

    def promote(
        self,
        name: str,
        why: str = "",
        who: str | None = None,
        *,
        serves: str | EllipsisType | None = ...,
        canary: Canary | EllipsisType | None = ...,
        loaded: Model | None = None,
    ) -> str:
        """Make a model that loads and ranks the production model; the present one is `previous`.

        It is loaded and tried first, unless it is the one that is `loaded`.
        Raises `RegistryError` or `BundleError` and changes nothing; `ConflictError` where another
        model came to serve while this one was looked at, another than `serves` does, or another
        step than `canary` is on. Twice is as good as once. Returns the version that `name`, a
        version or an alias, stands for. A trial that was on ends.
        """
        version, present = self.resolve(name), self.aliases()
        model = self._tried(version, loaded)
        if present.production != version:
            self._move(AliasMove.promote(version, present, serves, canary), why, who)
        del model  # it is held until here: `clear` leaves it alone
        return version

    def start_canary(
        self,
        canary: Canary,
        why: str = "",
        who: str | None = None,
        *,
        loaded: Model | None = None,
    ) -> Canary:
        """Begin the trial of a model that loads and ranks, beside the one that serves.

        It is loaded and tried first, unless it is the one that is `loaded`. Returns it with the
        version that it names, if by an alias. Raises `RegistryError` where none serves, it serves
        already, or another is on trial; `BundleError`, and `ConflictError` where somebody was
        quicker.
        """
        canary = replace(canary, version=self.resolve(canary.version))
        move = AliasMove.start_canary(canary, self.aliases())
        model = self._tried(canary.version, loaded)
        self._move(move, why, who)
        del model
        return canary

    def move_canary(
        self, canary: Canary, wanted: Canary | None, why: str = "", who: str | None = None
    ) -> None:
        """Go on from the step `canary` to the one that is wanted, or end the trial with None.

        Raises `ConflictError` where another step is on by now, or none.
        """
        self._move(AliasMove.move_canary(canary, wanted), why, who)

    def rollback(
        self,
        why: str = "",
        who: str | None = None,
        *,
        serves: str | None = None,
        loaded: Model | None = None,
    ) -> str:
        """Make the previous model the production model again, and return its version.

        It is loaded and tried first, unless it is the one that is `loaded`. A trial that was on
        ends. Raises `RegistryError` where there is none, `BundleError` where it cannot be loaded,
        `ConflictError` where another model came to serve meanwhile, or another than `serves` does.
        """
        present = self.aliases()
        if present.previous is None:
            raise RegistryError("there is no previous model to roll back to")
        version = present.previous
        model = self._tried(version, loaded)
        self._move(AliasMove.roll_back(version, present, serves), why, who)
        del model
        return version

    def set_candidate(self, name: str, why: str = "", who: str | None = None) -> None:
        """Name the model that waits for promotion; raise `RegistryError` if there is none such."""
        self._move(AliasMove.set_candidate(self.resolve(name)), why, who)

    def adopt(self, record: Record, source: str, again: str | None = None) -> None:
        """Name what the shared registry `source` names after `record`, as far as it is here.

        Where that was followed before only if it is done `again`, for a reason. Raises
        `RegistryError` or `BundleError` and changes nothing where what is to serve is not here, or
        does not load and rank.
        """
        wanted, model = record.aliases.production, None
        if wanted is not None and wanted != self.production():
            model = self._tried(wanted)
        here = self._here(record.aliases)
        why = again or f"{record.action} by {record.who}: {record.why or 'no reason told'}"
        move, follows = AliasMove("follow", lambda _: here), record.number
        self._move(move, why, source, follows=follows, again=again is not None)
        del model

    def followed(self, source: str) -> int:
        """Return the number of the record of `source` that was followed last, 0 for none."""
        told = (each.followed.rpartition("#") for each in self.history() if each.followed)
        return next((int(number) for where, _, number in told if where == source), 0)

    def clear(self, keep: int, *, dry_run: bool = False) -> Cleared:
        """Remove all bundles but the newest `keep`, those with an alias and those being read.

        What has no manifest that this program can read stays. Pages about models that are gone
        go, whenever these went. A dry run writes nothing, and waits for nobody; nor does it where
        no model was ever made.
        """
        removed, kept, size = [], {}, 0
        with nullcontext() if dry_run or not self.directory.exists() else self._moving():
            named = {each: alias for alias, each in self.aliases().versions().items()}
            for manifest in self.manifests()[keep:]:
                reason = named.get(manifest.version) or self._remove(manifest.version, dry_run)
                if reason is not None:
                    kept[manifest.version] = reason
                    continue
                removed.append(manifest.version)
                size += sum(told.size for told in manifest.files.values())
            if not dry_run:
                self._remove_reports()
        return Cleared(tuple(removed), size, kept)

    def _remove(self, version: str, dry_run: bool) -> str | None:
        """Remove a bundle; return why not."""
        directory = self.directory / version
        with taken(directory) as is_free:
            if is_free and not dry_run:
                remove_directory(directory)
            return None if is_free else "being read"

    def _remove_reports(self) -> None:
        for path in self._reports.glob("*.html"):
            if VERSION.fullmatch(path.stem) and not self._is_there(path.stem):
                path.unlink(missing_ok=True)

    def _tried(self, version: str, loaded: Model | None = None) -> Model:
        if loaded is not None and loaded.version == version and loaded.is_whole:
            return loaded
        model = self.load(version)
        model.warm()
        return model

    def _bundles(self) -> list[Path]:
        if not self.directory.is_dir():
            return []
        return [
            path
            for path in self.directory.iterdir()
            if path.is_dir() and path.name not in _NO_BUNDLES and not path.name.startswith(".")
        ]

    def _is_there(self, version: str | None) -> TypeGuard[str]:
        return version in {each.name for each in self._bundles()}

    def _here(self, aliases: Aliases) -> Aliases:
        """Return what aliases name, None for what is not here."""
        named = (aliases.production, aliases.previous, aliases.candidate)
        production, previous, candidate = (each if self._is_there(each) else None for each in named)
        canary = aliases.canary
        if canary is not None and not self._is_there(canary.version):
            canary = None
        return Aliases(production, previous, candidate, canary)

    def _alias(self, name: str) -> str | None:
        try:
            content = (self._aliases / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryError(f"{self._aliases / name}: {error.strerror}") from error
        return content.decode(errors="replace").strip() or None

    def _move(
        self,
        move: AliasMove,
        why: str,
        who: str | None,
        *,
        follows: int | None = None,
        again: bool = False,
    ) -> None:
        """Write what is done to the history, then do it: whoever is killed between is found out.

        With `follows`, the number of a record of the shared registry `who`, it is done only if
        neither it, unless that is done `again`, nor a newer one was followed meanwhile; and first,
        since what is recorded is not followed again.
        """
        with self._moving():
            if follows is not None and self.followed(who or "") >= follows + again:
                return
            present, last = self.aliases(), self._journal.last()
            if not move.fits(present):
                raise ConflictError(last)
            wanted = move.change(self._here(present))
            followed = None if follows is None else f"{who}#{follows}"
            record = replace(record_after(last, move.action, wanted, why, who), followed=followed)
            if follows is not None:
                self._name(wanted)
            self._record(record, last, present)
            if follows is None:
                self._name(wanted)

    def _record(self, record: Record, last: Record | None, present: Aliases) -> None:
        """Append a record, and before it that aliases were not as the `last` one says.

        What only ends a trial waits for none: harm must end on a full disk, too.
        """
        try:
            if last is not None and last.aliases != present:
                why = "not what was recorded last"
                self._journal.append(record_after(last, "found", present, why, record.who))
                record = replace(record, number=record.number + 1)
            self._journal.append(record)
        except OSError as error:
            only_ends = replace(self._here(present), canary=None)
            if present.canary is None or record.aliases != only_ends:
                raise
            log.error(  # noqa: TRY400 - told in a line
                "a trial ended, which no record says (%s): %s", error.strerror, record.why
            )

    def _name(self, wanted: Aliases) -> None:
        """Let aliases name what is wanted."""
        for name in _PLAIN:
            self._point(name, getattr(wanted, name))
        on_trial = wanted.canary
        self._point(CANARY, None if on_trial is None else orjson.dumps(on_trial).decode())

    def _point(self, name: str, told: str | None) -> None:
        if told is None:
            (self._aliases / name).unlink(missing_ok=True)
        elif self._alias(name) != told:
            replace_file(self._aliases / name, f"{told}\n".encode())

    @contextmanager
    def _moving(self) -> Iterator[None]:
        try:
            with locked(self._aliases):
                yield
        except OSError as error:
            raise DiskError(f"{self._aliases}: {error.strerror or error}") from error


def _readable(directory: Path) -> Manifest:
    """Return a bundle's manifest; raise `BundleError`, also where a newer program wrote it."""
    manifest = read_manifest(directory)
    require_not_newer(manifest)
    return manifest
