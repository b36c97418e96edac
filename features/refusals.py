"""Rows that were not taken: which, where, and why, up to a limit."""

from collections.abc import Iterable
from dataclasses import dataclass

from features.aligned import aligned
from features.errors import InputError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row that breaks a rule. `row` is counted as `features.sources` says."""

    file: str
    row: int
    column: str
    value: str
    why: str


class RefusedError(InputError):
    """Too many rows were refused for the rest to be taken; nothing was written."""

    def __init__(self, why: str, refusals: tuple[Refusal, ...]) -> None:
        """Keep the refusals for the report."""
        super().__init__(f"{why}: stopped, and nothing was written")
        self.refusals = refusals


class Refusals:
    """The refused rows so far."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` of them."""
        self._limit = limit
        self._all: list[Refusal] = []

    @property
    def room(self) -> int:
        """How many more are worth naming: the first one too many included."""
        return self._limit - len(self._all) + 1

    def add(self, refusals: Iterable[Refusal]) -> None:
        """Take note, or raise `RefusedError`."""
        self._all.extend(refusals)
        if len(self._all) > self._limit:
            why = f"more than {self._limit} rows refused"
            raise RefusedError(why, self.all()[: self._limit])

    def all(self) -> tuple[Refusal, ...]:
        """Return them in the order they were met."""
        return tuple(self._all)


_TITLES = ("file", "row", "column", "value", "why")


def as_text(refusals: Iterable[Refusal]) -> str:
    """Return the refusals as an aligned table."""
    return aligned([_TITLES, *map(_cells, refusals)])


def _cells(refusal: Refusal) -> tuple[str, ...]:
    value = refusal.value if len(refusal.value) <= 40 else f"{refusal.value[:39]}…"
    return (refusal.file, str(refusal.row), refusal.column, repr(value), refusal.why)
