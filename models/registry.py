"""The models of one home, and which of them serves.

models/VERSION/           bundles
models/aliases/production the version that serves
               previous   the one before, to roll back to
               candidate  trained, and not promoted (yet)

An alias is a file that is replaced in one step; whoever reads it sees the old or the new one.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeGuard

from models.bundle import read_bundle, read_ladder
from models.directory import replace_file
from models.errors import BundleError, RegistryError
from models.manifest import Manifest, read_manifest
from models.model import Model

PRODUCTION = "production"
PREVIOUS = "previous"
CANDIDATE = "candidate"
ALIASES = (PRODUCTION, PREVIOUS, CANDIDATE)


class Registry:
    """The registry of one home. Reading needs no lock; one process at a time moves aliases."""

    def __init__(self, home: Path) -> None:
        """Use `home/models`; nothing is created before the first write."""
        self.directory = home / "models"
        self._aliases = self.directory / "aliases"

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all bundles that have a believable one, newest first."""
        manifests = []
        for directory in self._bundles():
            with suppress(BundleError):
                manifests.append(read_manifest(directory))
        return sorted(manifests, key=lambda each: each.version, reverse=True)

    def damaged(self) -> dict[str, str]:
        """Return what is wrong with the bundles that have no believable manifest, by version."""
        damaged = {}
        for directory in self._bundles():
            try:
                read_manifest(directory)
            except BundleError as error:
                damaged[directory.name] = str(error)
        return damaged

    def production(self) -> str | None:
        """Return the version that serves."""
        return self._alias(PRODUCTION)

    def previous(self) -> str | None:
        """Return the version that served before."""
        return self._alias(PREVIOUS)

    def candidate(self) -> str | None:
        """Return the version that was trained last and not promoted."""
        return self._alias(CANDIDATE)

    def resolve(self, name: str) -> str:
        """Return the version that `name`, a version or an alias, stands for.

        Raises `RegistryError` where there is none.
        """
        version = self._alias(name) if name in ALIASES else name
        if version is None:
            raise RegistryError(f"there is no {name} model")
        if not self._is_there(version):
            raise RegistryError(f"there is no model {version!r:.80}; see python -m models list")
        return version

    def manifest(self, version: str) -> Manifest:
        """Return a bundle's manifest; raise `RegistryError` or `BundleError`."""
        return read_manifest(self.directory / self.resolve(version))

    def load(self, version: str) -> Model:
        """Return the verified model; raise `RegistryError` or `BundleError`."""
        return read_bundle(self.directory / self.resolve(version))

    def load_ladder(self, version: str) -> Model:
        """Return what a bundle that `load` refuses can still answer from; raise as `load` does."""
        return read_ladder(self.directory / self.resolve(version))

    def promote(self, version: str) -> None:
        """Make a model that loads and ranks the production model; the present one is `previous`.

        Raises `RegistryError` or `BundleError` and changes nothing. Twice is as good as once.
        """
        version = self.resolve(version)
        self.load(version).warm()
        with self._moving():
            present = self.production()
            if present == version:
                return
            if self._is_there(present):
                self._point(PREVIOUS, present)
            self._point(PRODUCTION, version)
            if self.candidate() == version:
                (self._aliases / CANDIDATE).unlink()

    def rollback(self) -> str:
        """Make the previous model the production model again, and return its version.

        Raises `RegistryError` where there is none, `BundleError` where it cannot be loaded.
        """
        with self._moving():
            previous, present = self.previous(), self.production()
            if previous is None:
                raise RegistryError("there is no previous model to roll back to")
            self.load(previous).warm()
            self._point(PRODUCTION, previous)
            if self._is_there(present):
                self._point(PREVIOUS, present)
            return previous

    def set_candidate(self, version: str) -> None:
        """Name the model that waits for promotion; raise `RegistryError` if there is none such."""
        version = self.resolve(version)
        with self._moving():
            self._point(CANDIDATE, version)

    def _bundles(self) -> list[Path]:
        if not self.directory.is_dir():
            return []
        return [
            path
            for path in self.directory.iterdir()
            if path.is_dir() and path != self._aliases and not path.name.startswith(".")
        ]

    def _is_there(self, version: str | None) -> TypeGuard[str]:
        return version in {each.name for each in self._bundles()}

    def _alias(self, name: str) -> str | None:
        try:
            content = (self._aliases / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryError(f"alias {name}: {error.strerror}") from error
        return content.decode(errors="replace").strip() or None

    def _point(self, name: str, version: str) -> None:
        replace_file(self._aliases / name, f"{version}\n".encode())

    @contextmanager
    def _moving(self) -> Iterator[None]:
        try:
            self._aliases.mkdir(parents=True, exist_ok=True)
            with (self._aliases / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise RegistryError(f"{self._aliases}: {error.strerror}") from error
