"""What the gates remember, in a file of the home: the last good data, what was vouched for."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.lock import locked
from features.quality.gates import Gate
from features.quality.profile import TableProfile
from features.whole_file import replace_file

_BASELINES, _VOUCHED, _RELEASED = "baselines", "vouched", "released"


class Baselines:
    """The memory of the gates below `home`: by gate, and by what rows it is of."""

    def __init__(self, home: Path) -> None:
        """Use what is there; nothing is created before the first good data."""
        self._path = home / "quality" / "baselines.json"

    def of(self, gate: Gate) -> dict[str, TableProfile]:
        """Return the baselines of a gate; raise `InputError` where the file cannot be read."""
        with _explained(self._path):
            told = self._read().get(_BASELINES, {}).get(gate, {})
            return {name: TableProfile.from_json(each) for name, each in told.items()}

    def move(self, gate: Gate, profiles: Mapping[str, TableProfile]) -> None:
        """Make `profiles` the baselines of their rows; those of others stay."""
        with self._changed() as told:
            of_gate = told.setdefault(_BASELINES, {}).setdefault(gate, {})
            of_gate.update({name: asdict(profile) for name, profile in profiles.items()})

    def vouched(self) -> dict[str, int]:
        """Return how many rows of the tables may be otherwise than expected, by expectation."""
        with _explained(self._path):
            return {str(key): int(most) for key, most in self._read().get(_VOUCHED, {}).items()}

    def vouch(self, most: Mapping[str, int]) -> None:
        """Allow the tables so many rows that are otherwise, and no others."""
        with self._changed() as told:
            told[_VOUCHED] = dict(most)

    def was_released(self, digest: str) -> bool:
        """Tell whether somebody let in a batch of these bytes."""
        with _explained(self._path):
            return digest in self._read().get(_RELEASED, ())

    def release(self, digest: str) -> None:
        """Note that somebody lets in a batch of these bytes."""
        with self._changed() as told:
            told.setdefault(_RELEASED, []).append(digest)

    def forget(self) -> None:
        """Begin anew: the data were replaced by others."""
        self._path.unlink(missing_ok=True)

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        with _explained(self._path), locked(self._path.parent):
            told = self._read()
            yield told
            replace_file(self._path, json.dumps(told, indent=1) + "\n")

    def _read(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return told


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        told = f"{type(error).__name__} {error}"
        raise InputError(f"{path}: no baselines: {told}; remove it to begin anew") from None
