"""Who became whom: which shopper's an event is at a moment, since one was merged into another.

Nothing is rewritten: events keep the shopper they arrived under, and a row `(source, into, at)`
says that all that had arrived of one by then is the other's from then on. So a moment before it
sees what was known then. Events that become another's with the same merges are a *span*.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

USER_ID = "user_id"
KEY = "key"
MARK = "\0"
"""Stands in a key behind the id, which holds none."""

_EVER_MS = 1 << 50
_SPANS = {USER_ID: pl.String, KEY: pl.String, "since": pl.Int64, "until": pl.Int64}


class Hop(NamedTuple):
    """Whose a span is from a moment on, in milliseconds."""

    owner: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Span:
    """What arrived of a shopper after `since_ms` and up to `until_ms`, and whose it became."""

    user_id: str
    since_ms: int
    until_ms: int
    hops: tuple[Hop, ...]

    def owner(self, as_of_ms: int) -> str:
        """Return whose it is just before a moment."""
        told = self.user_id
        for hop in self.hops:
            if hop.at_ms < as_of_ms:
                told = hop.owner
        return told

    def gone_until(self, stamps: Mapping[str, Sequence[int]]) -> int:
        """Return up to when what arrived is gone, -1 for not at all.

        `stamps` tells until when shoppers were forgotten: what was theirs at that moment.
        """
        gone, whose, since = -1, self.user_id, -1
        for hop in (*self.hops, Hop("", _EVER_MS)):
            gone = max([gone, *(at for at in stamps.get(whose, ()) if since <= at < hop.at_ms)])
            whose, since = hop
        return min(gone, self.until_ms)


class Arrived(NamedTuple):
    """What arrived of a shopper after a moment and up to another, in milliseconds."""

    user_id: str
    since_ms: int
    until_ms: int


class Merges:
    """All merges of a store; most have none, and then nothing costs anything."""

    def __init__(self, rows: Sequence[tuple[str, str, int]]) -> None:
        """Take rows of (source, into, milliseconds)."""
        self._of: dict[str, list[Hop]] = {}
        for source, into, at_ms in sorted(rows, key=lambda row: row[2]):
            self._of.setdefault(source, []).append(Hop(into, at_ms))
        self._spans_by = {user_id: [*self._spans_of(user_id)] for user_id in self._of}
        self._spans = [span for spans in self._spans_by.values() for span in spans]
        self._ever_of: dict[str, list[Span]] = {}
        for span in self._spans:
            for owner in {span.user_id, *(hop.owner for hop in span.hops)}:
                self._ever_of.setdefault(owner, []).append(span)
        self._breaks = self._moments()

    def __bool__(self) -> bool:
        """Tell whether anybody was merged."""
        return bool(self._of)

    def spans(self, user_id: str, as_of_ms: int | None = None) -> list[Span]:
        """Return what is a shopper's just before a moment, or now."""
        at = _EVER_MS if as_of_ms is None else as_of_ms
        told = [span for span in self._ever_of.get(user_id, ()) if span.owner(at) == user_id]
        return told if user_id in self._of else [Span(user_id, -1, _EVER_MS, ()), *told]

    def arrived(self, until_ms: Mapping[str, int]) -> list[Arrived]:
        """Return what was shoppers' at a moment each: what had arrived of whom, and when."""
        told = {
            Arrived(span.user_id, span.since_ms, min(span.until_ms, at_ms))
            for at_ms, span in self._held(until_ms)
        }
        return sorted(told)

    def sources(self, until_ms: Mapping[str, int]) -> dict[str, list[int]]:
        """Return under whom events arrived that were shoppers' at a moment each by merges.

        Of each the moments up to which they did, ascending: of each span one.
        """
        told: dict[str, set[int]] = {}
        for at_ms, span in self._held(until_ms):
            if span.hops and span.hops[0].at_ms <= at_ms:
                told.setdefault(span.user_id, set()).add(span.until_ms)
        return {source: sorted(moments) for source, moments in told.items()}

    def rows(self, until_ms: Mapping[str, int]) -> set[tuple[str, str, int]]:
        """Return the merges, as they were given, by which those events became the shoppers'."""
        told = set()
        for at_ms, span in self._held(until_ms):
            before = span.user_id
            for hop in span.hops:
                if hop.at_ms <= at_ms:
                    told.add((before, *hop))
                before = hop.owner
        return told

    def _held(self, until_ms: Mapping[str, int]) -> Iterator[tuple[int, Span]]:
        """Yield the spans that were shoppers' at a moment each, and that moment."""
        for user_id, at_ms in until_ms.items():
            for span in self.spans(user_id, at_ms + 1):
                yield at_ms, span

    def became(self, user_ids: Iterable[str]) -> set[str]:
        """Return shoppers, and all whose their events ever were by merges."""
        told = set(user_ids)
        for user_id in told & self._of.keys():
            told.update(hop.owner for span in self._spans_by[user_id] for hop in span.hops)
        return told

    def changed_by(self, others: "Merges") -> set[str]:
        """Return who has something, or has it no more, by rows that stand in one of both only."""
        rows = [
            {(source, *hop) for source, hops in each._of.items() for hop in hops}  # noqa: SLF001
            for each in (self, others)
        ]
        concerned = {user_id for source, into, _ in rows[0] ^ rows[1] for user_id in (source, into)}
        return self.became(concerned) | others.became(concerned)

    def gone(
        self, user_ids: Iterable[str], stamps: Mapping[str, Sequence[int]]
    ) -> Iterator[tuple[str, int, int]]:
        """Yield of whom what arrived after a moment, and up to another, was forgotten.

        `stamps` tells until when shoppers were, those of `became` included.
        """
        for user_id in user_ids:
            for span in self._spans_by.get(user_id) or [Span(user_id, -1, _EVER_MS, ())]:
                if (until := span.gone_until(stamps)) > span.since_ms:
                    yield user_id, span.since_ms, until

    def owned(self, events: pl.LazyFrame, until_ms: int | None = None) -> pl.LazyFrame:
        """Return events with the shopper whose they are before a moment, or now."""
        at = _EVER_MS if until_ms is None else until_ms
        moved = [span for span in self._spans if span.owner(at) != span.user_id]
        if not moved:
            return events
        spans = _frame((span.user_id, span.owner(at), span) for span in moved)
        numbered = events.with_row_index("_row")
        taken = within(numbered, spans)
        others = numbered.join(taken.select("_row"), on="_row", how="anti")
        return pl.concat((others, _renamed(taken))).drop("_row")

    def keyed(self, pairs: pl.DataFrame, as_of_ms: npt.NDArray[np.int64]) -> pl.DataFrame:
        """Return `pairs` with a column `key`: of which state of a shopper they ask, by moment."""
        if not self:
            return pairs.with_columns(pl.col(USER_ID).alias(KEY))
        told = [
            _key(user_id, int(np.searchsorted(self._breaks[user_id], at)))
            if user_id in self._breaks
            else user_id
            for user_id, at in zip(pairs[USER_ID].to_list(), as_of_ms.tolist(), strict=True)
        ]
        return pairs.with_columns(pl.Series(KEY, told, pl.String))

    def expanded(self, events: pl.LazyFrame, keys: pl.Series) -> pl.LazyFrame:
        """Return `events`, and those of each state in `keys` with its key for the shopper."""
        spans = self.states(keys)
        return pl.concat((events, _renamed(within(events, spans)))) if len(spans) else events

    def states(self, keys: pl.Series) -> pl.DataFrame:
        """Return the spans of states: `user_id`, `key`, `since` and `until` (milliseconds)."""
        rows = []
        for key in keys.unique(maintain_order=True).to_list():
            user_id, mark, number = key.partition(MARK)
            if mark:
                at_ms = self._breaks[user_id][int(number) - 1] + 1
                rows += [(span.user_id, key, span) for span in self.spans(user_id, at_ms)]
        return _frame(iter(rows))

    def _spans_of(self, user_id: str) -> Iterator[Span]:
        since = -1
        for hop in self._of[user_id]:
            yield Span(user_id, since, hop.at_ms, tuple(self._hops(hop)))
            since = hop.at_ms
        yield Span(user_id, since, _EVER_MS, ())

    def _hops(self, first: Hop) -> Iterator[Hop]:
        hop: Hop | None = first
        while hop is not None:
            yield hop
            after = hop.at_ms
            hop = next((each for each in self._of.get(hop.owner, ()) if each.at_ms > after), None)

    def _moments(self) -> Mapping[str, list[int]]:
        """Return when what is a shopper's changed, ascending, of each who is concerned."""
        told: dict[str, set[int]] = {}
        for span in self._spans:
            before = span.user_id
            for hop in span.hops:
                told.setdefault(before, set()).add(hop.at_ms)
                told.setdefault(hop.owner, set()).add(hop.at_ms)
                before = hop.owner
        return {user_id: sorted(moments) for user_id, moments in told.items()}


NOBODY = Merges(())
"""Nobody was merged into anybody."""


def concerning(rows: pl.DataFrame, user_ids: Collection[str]) -> pl.DataFrame:
    """Return the merges, of `source` and `into`, that say anything of some shoppers.

    They alone tell of these shoppers what all would: with whom they were merged, and those with
    whom, however far.
    """
    told, asked = set(user_ids), set[str]()
    found = rows.clear()
    while asked != told:
        asked = set(told)
        ids = pl.Series(list(asked), dtype=pl.String).implode()
        found = rows.filter(pl.col("source").is_in(ids) | pl.col("into").is_in(ids))
        told.update(found["source"], found["into"])
    return found


def _key(user_id: str, changes: int) -> str:
    """Return the key of the state after so many changes; before the first it is the id."""
    return f"{user_id}{MARK}{changes}" if changes else user_id


def _frame(rows: Iterator[tuple[str, str, Span]]) -> pl.DataFrame:
    told = [(user_id, key, span.since_ms, span.until_ms) for user_id, key, span in rows]
    return pl.DataFrame(told, _SPANS, orient="row")


def within(events: pl.LazyFrame, spans: pl.DataFrame) -> pl.LazyFrame:
    """Return those events that are in `spans` (user_id, since, until), with their columns."""
    arrived = pl.col("arrived_at").dt.epoch("ms")
    inside = (arrived > pl.col("since")) & (arrived <= pl.col("until"))
    return events.join(spans.lazy(), on=USER_ID).filter(inside).drop("since", "until")


def _renamed(events: pl.LazyFrame) -> pl.LazyFrame:
    return events.with_columns(pl.col(KEY).alias(USER_ID)).drop(KEY)
