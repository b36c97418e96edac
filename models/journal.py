"""Who moved which alias, when and why: history/00000001.json and so on, never changed.

A record is created only if there is none of its number. So of two who move an alias at once one
is first, and the other is told by whom. What all aliases name after a move stands in its record.
"""

import getpass
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from models.canary import Canary
from models.errors import ConflictError, RegistryError
from models.storage import Storage

PRODUCTION = "production"
PREVIOUS = "previous"
CANDIDATE = "candidate"
CANARY = "canary"
ALIASES = (PRODUCTION, PREVIOUS, CANDIDATE, CANARY)

_HISTORY = "history"
_NAME = re.compile(r"(\d{8})\.json")


@dataclass(frozen=True, slots=True)
class Aliases:
    """The version that each alias names, None where it names none.

    A canary is measured against what serves, so that it ends where another model comes to serve.
    """

    production: str | None = None
    previous: str | None = None
    candidate: str | None = None
    canary: Canary | None = None

    def versions(self) -> dict[str, str | None]:
        """Return the version that each alias names."""
        canary = None if self.canary is None else self.canary.version
        return dict(
            zip(ALIASES, (self.production, self.previous, self.candidate, canary), strict=True)
        )

    def version_of(self, name: str) -> str | None:
        """Return the version that `name`, a version or an alias, stands for."""
        return self.versions()[name] if name in ALIASES else name

    def promoted(self, version: str) -> "Aliases":
        """Return what they name once `version` serves."""
        candidate = None if self.candidate == version else self.candidate
        return Aliases(version, self.production or self.previous, candidate)

    def rolled_back(self, version: str) -> "Aliases":
        """Return what they name once `version` serves again, and what serves now is previous."""
        return replace(self, production=version, previous=self.production, canary=None)


@dataclass(frozen=True, slots=True)
class Record:
    """One move; `at` is ISO 8601 UTC.

    `followed` is the record of a shared registry that it follows, `WHERE#NUMBER`.
    `action` says what was done: promote, rollback, candidate, canary (begun or moved on), stop
    (of a canary), follow, or found, where aliases were not as the record before says.
    """

    number: int
    at: str
    action: str
    who: str
    why: str
    aliases: Aliases
    followed: str | None = None

    def to_json(self) -> bytes:
        """Return the record as one line of JSON."""
        return orjson.dumps(self.told(), option=orjson.OPT_APPEND_NEWLINE)

    def told(self) -> dict[str, Any]:
        """Return the record, JSON-able; of a canary only where there is one, as of old."""
        told = asdict(self)
        if self.aliases.canary is None:
            del told["aliases"][CANARY]
        return told

    @classmethod
    def from_json(cls, name: str, raw: bytes) -> "Record":
        """Return the record in `raw`; raise `RegistryError` if it is none, with its `name`."""
        try:
            told: Mapping[str, Any] = orjson.loads(raw)
            named = dict(told["aliases"])
            if named.get(CANARY) is not None:
                named[CANARY] = Canary.of(named[CANARY])
            return cls(**{**told, "aliases": Aliases(**named)})
        except (TypeError, KeyError, ValueError) as error:
            raise RegistryError(f"{name}: not a record of this program ({error})") from None


class Journal:
    """The history of one registry."""

    def __init__(self, storage: Storage) -> None:
        """Read nothing yet."""
        self._storage = storage
        self._newest = 0

    def last(self) -> Record | None:
        """Return the newest record; asked again, only what came since is looked for."""
        newest = self._read(self._newest) if self._newest else self._listed_last()
        while newest is not None and (later := self._read(newest.number + 1)) is not None:
            newest = later
        self._newest = newest.number if newest else 0
        return newest

    def append(self, record: Record) -> None:
        """Write the record of the next number; raise `ConflictError` where somebody was quicker."""
        content = record.to_json()
        try:
            self._storage.create(_name(record.number), content)
        except FileExistsError:
            quicker = self._read(record.number)
            if quicker != record:  # else it was ours: a first try whose answer was lost
                raise ConflictError(quicker) from None

    def newest_first(self) -> Iterator[Record]:
        """Yield every record."""
        for number in sorted(self._numbers(), reverse=True):
            if (record := self._read(number)) is not None:
                yield record

    def _listed_last(self) -> Record | None:
        return self._read(max(self._numbers(), default=0))

    def _numbers(self) -> list[int]:
        found = (_NAME.fullmatch(name) for name in self._storage.entries(_HISTORY))
        return [int(each[1]) for each in found if each]

    def _read(self, number: int) -> Record | None:
        try:
            return Record.from_json(_name(number), self._storage.read(_name(number)))
        except FileNotFoundError:
            return None


def record_after(
    last: Record | None, action: str, aliases: Aliases, why: str, who: str | None
) -> Record:
    """Return the record that follows `last`; who is the user of this process unless told."""
    number = last.number + 1 if last else 1
    at = datetime.now(UTC).isoformat()
    return Record(number, at, action, who or this_user(), why, aliases)


def this_user() -> str:
    """Return who runs this process, and on which machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no name for the number that a container runs as
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def _name(number: int) -> str:
    return f"{_HISTORY}/{number:08d}.json"
