"""The bundles of a shared registry, and how they come from and to a home.

blobs/sha256/HEX         every file of every bundle, once
manifests/VERSION.json   written when all its blobs are there: then it is a bundle
"""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.bundle import add_bundle, read_trusted, require_known, require_not_newer
from models.errors import BundleError, RegistryError
from models.manifest import MANIFEST, FileSum, Manifest
from models.model import Model
from models.registry import Registry
from models.storage import Storage, reaching

BLOBS = "blobs/sha256"
MANIFESTS = "manifests"


@dataclass(frozen=True, slots=True)
class Pushed:
    """How many files of a bundle were sent, their bytes, and how many were there already."""

    version: str
    sent: int
    size: int
    there: int


class PushedModels:
    """Sends bundles of a home and brings them; raises `AwayError` where that is not reached."""

    def __init__(self, storage: Storage, registry: Registry) -> None:
        """Push from and pull to the registry of a home; nothing is made before the first write."""
        self._storage = storage
        self._registry = registry

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all bundles that this program can read, newest first."""
        manifests = []
        with reaching(self._storage):
            self._storage.require()
            for name in sorted(self._storage.entries(MANIFESTS), reverse=True):
                with suppress(BundleError, FileNotFoundError):  # removed meanwhile
                    manifest = Manifest.from_json(self._storage.read(f"{MANIFESTS}/{name}"))
                    require_not_newer(manifest)
                    manifests.append(manifest)
        return manifests

    def manifest(self, version: str) -> Manifest | None:
        """Return the manifest that was pushed, None where there is none; raise `BundleError`."""
        with reaching(self._storage):
            self._storage.require()
            return self._manifest(version)

    def push(self, version: str, *, anew: bool = False) -> Pushed:
        """Send a bundle that is whole: the files that are not there, then its manifest.

        With `anew` all files are sent, whatever is there. A manifest that somebody signed is not
        replaced by one without a signature. Raises `RegistryError` or `BundleError`.
        """
        model = self._registry.load(version)
        directory, manifest = self._registry.directory / version, self._registry.manifest(version)
        with reaching(self._storage):
            files = {told: directory / file for file, told in manifest.files.items()}
            missing = files if anew else self._missing(files)
            self._send(missing)
            if self._replaces_pushed(manifest):
                self._storage.upload(directory / MANIFEST, f"{MANIFESTS}/{version}.json")
            self._send(self._missing(files))  # what went before a manifest named it
        del model  # held until all is sent
        size = sum(told.size for told in missing)
        return Pushed(version, len(missing), size, len(set(manifest.files.values())) - len(missing))

    def whole(self, version: str) -> Model:
        """Return a model of the home, brought anew where it is damaged or not signed as told.

        Where nobody pushed it, what is wrong with it is raised.
        """
        try:
            return self._registry.load(version)
        except (BundleError, RegistryError):
            pushed = self.manifest(version)
            if pushed is None and self._registry.has(version):
                raise
        self._bring(version, pushed)
        return self._registry.load(version)

    def bring_missing(self, version: str) -> None:
        """Bring a bundle that the home has not, or not signed as told; raise as `whole`."""
        if not self._is_trusted(version):
            self._bring(version, self.manifest(version))

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

    def _is_trusted(self, version: str) -> bool:
        """Tell whether the home has a bundle, signed as told; files are looked at by who loads."""
        try:
            read_trusted(self._registry.directory / version, self._registry.trusted)
        except BundleError:
            return False
        return True

    def _bring(self, version: str, manifest: Manifest | None) -> None:
        if manifest is None:
            raise RegistryError(f"there is no model {version} in {self._storage}")
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

    def _known_files(self) -> dict[FileSum, Path]:
        """Return where the home has files of bundles, by what is in them."""
        return {
            told: self._registry.directory / each.version / name
            for each in self._registry.manifests()
            for name, told in each.files.items()
        }

    def _fetch(self, manifest: Manifest, known: dict[FileSum, Path], name: str, path: Path) -> None:
        told, where = manifest.files[name], self._storage
        if told in known:
            with suppress(OSError):
                shutil.copyfile(known[told], path)
                if FileSum.of_file(path) == told:
                    return
        with reaching(where):
            try:
                where.download(_blob(told), path)
            except FileNotFoundError:
                raise BundleError(f"{name}: blob {told.sha256} is missing in {where}") from None
        found = FileSum.of_file(path)
        if found != told:
            raise BundleError(
                f"{name}: blob {told.sha256} is damaged in {where}: expected {told.size} bytes of "
                f"that checksum, got {found.size} of {found.sha256[:12]}…; push it --anew"
            )


def _blob(told: FileSum) -> str:
    return f"{BLOBS}/{told.sha256}"
