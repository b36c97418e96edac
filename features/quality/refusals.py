"""Rows that were not taken: which, where, and why, up to a limit."""

from collections.abc import Iterable
from dataclasses import dataclass

from features.aligned import aligned
from features.errors import InputError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row that breaks a rule. `row` is counted as `features.ingest.sources` says."""

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
            why = f"more than {self._limit} rows refused (--max-errors)"
            raise RefusedError(why, self.all()[: self._limit])

    def all(self) -> tuple[Refusal, ...]:
        """Return them in the order they were met."""
        return tuple(self._all)


TITLES = ("rows", "file", "column", "why", "the first of them")
_FIRST = 3
"""So many rows are named of those that are refused for the same reason."""


def summed_up(refusals: Iterable[Refusal]) -> list[tuple[str, ...]]:
    """Return cells of a table with `TITLES`: a line for each file, column and reason."""
    alike: dict[tuple[str, str, str], list[Refusal]] = {}
    for each in refusals:
        alike.setdefault((each.file, each.column, each.why), []).append(each)
    return [
        (f"{len(some):,}", file, column or "(the line)", why, "; ".join(map(_row, some[:_FIRST])))
        for (file, column, why), some in alike.items()
    ]


def as_text(refusals: Iterable[Refusal]) -> str:
    """Return what was refused as an aligned table, summed up."""
    return aligned([TITLES, *summed_up(refusals)])


def _row(refusal: Refusal) -> str:
    value = refusal.value if len(refusal.value) <= 40 else f"{refusal.value[:39]}…"
    return f"row {refusal.row}: {value!r}"
