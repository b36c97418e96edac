"""The baseline of each gate: what the last good data were like, in one file of the home."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.quality.profile import Profile
from features.quality.rules import Gate

_VOUCHED = "vouched"


class Baselines:
    """The baselines below `home`: by gate, and by what rows they are of."""

    def __init__(self, home: Path) -> None:
        """Use what is there; nothing is created before the first good data."""
        self._path = home / "quality" / "baselines.json"

    def of(self, gate: Gate) -> dict[str, Profile]:
        """Return the baselines of a gate; raise `InputError` where the file cannot be read."""
        with _explained(self._path):
            told = self._read().get(gate, {})
            return {name: Profile.from_json(each) for name, each in told.items()}

    def move(self, gate: Gate, profiles: Mapping[str, Profile]) -> None:
        """Make `profiles` the baselines of their rows; those of others stay."""
        with _explained(self._path):
            told = self._read()
            of_gate = told.setdefault(gate, {})
            of_gate.update({name: asdict(profile) for name, profile in profiles.items()})
            self._write(told)

    def vouched(self) -> str:
        """Return what was vouched for last, or nothing."""
        with _explained(self._path):
            return str(self._read().get(_VOUCHED, ""))

    def vouch(self, source: str) -> None:
        """Note that somebody vouches for `source`."""
        with _explained(self._path):
            self._write({**self._read(), _VOUCHED: source})

    def _read(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return told

    def _write(self, told: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        scratch.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        scratch.replace(self._path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        told = f"{type(error).__name__} {error}"
        raise InputError(f"{path}: no baselines: {told}; remove it to begin anew") from None
