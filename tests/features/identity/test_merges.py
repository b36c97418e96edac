"""Who became whom, beside a replay in plain Python: at any moment the tables say what it says."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.computation.point_in_time import known_at
from features.declared import FEATURE_NAMES
from features.eventlog import EventLog
from features.events import RECORD, Event, EventType, Records, pack_event
from features.identity.merges import Merges, Span, concerning
from features.moments import Moment
from features.offline.store import OfflineStore
from features.online.stream_entries import Entry
from features.stream.archive import events_table
from features.training.labels import Labels
from features.training.training_set import write_training_set

START_MS = 1_760_000_000_000
SHOPPERS = ("ann", "ben", "it's", "session:1", "session:2")
KINDS = [EventType.CLICK, EventType.PURCHASE, EventType.ADD_TO_CART]


@dataclass(frozen=True)
class Step:
    """A minute of the replay: an event of a shopper, or a merge into another."""

    shopper: str
    into: str | None
    kind: EventType


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(SHOPPERS),
        st.none() | st.none() | st.sampled_from(SHOPPERS),
        st.sampled_from(KINDS),
    ).filter(lambda step: step.shopper != step.into),
    max_size=25,
)


def at_ms(number: int) -> int:
    """Return when a step happened."""
    return START_MS + 60_000 * number


def event_of(number: int, step: Step) -> Event:
    """Return the event of a step."""
    return Event(f"e{number}", step.kind, step.shopper, 1.0, f"i{number % 7}", 2.5)


def replayed(steps: list[Step], until: int) -> dict[str, Records]:
    """Return what is each shopper's after the first steps, sorted by time."""
    held: dict[str, list[bytes]] = defaultdict(list)
    for number, step in enumerate(steps[:until]):
        if step.into is None:
            held[step.shopper].append(pack_event(event_of(number, step), at_ms(number)))
        else:
            held[step.into] += held.pop(step.shopper, [])
    told = {name: np.frombuffer(b"".join(packed), RECORD) for name, packed in held.items()}
    return {name: np.sort(some, order="ts") for name, some in told.items() if len(some)}


def stored(home: Path, steps: list[Step]) -> OfflineStore:
    """Return a store that was told of all steps."""
    store = OfflineStore(home)
    happened = list(enumerate(steps))
    told = [
        Entry(b"1-1", at_ms(number), event_of(number, step))
        for number, step in happened
        if step.into is None
    ]
    store.append_events(events_table(told))
    store.merge([(s.shopper, s.into, at_ms(n)) for n, s in happened if s.into is not None])
    return store


def features_of(records: Records | None, as_of_ms: int) -> list[float]:
    """Return the features of a shopper with these events."""
    some = np.empty(0, RECORD) if records is None else records
    log = EventLog(("u",), np.array([0, len(some)]), some)
    values: list[float] = known_at(log, [0], [Moment(as_of_ms)]).vectors().values[0].tolist()
    return values


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_every_moment_sees_what_was_whose(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    """Training sets, before and after each merge, and the log of all events."""
    home = tmp_path_factory.mktemp("home")
    store = stored(home, steps)
    asked = [(name, number) for number in range(len(steps) + 1) for name in SHOPPERS]
    as_of = [at_ms(number) for _, number in asked]
    rows = pl.DataFrame({"user_id": [name for name, _ in asked], "at": as_of})
    write_training_set(store, Labels(rows, np.array(as_of)), home / "set.parquet")
    told = pl.read_parquet(home / "set.parquet").select(FEATURE_NAMES).cast(pl.Float32).rows()
    for row, (name, number) in enumerate(asked):
        expected = features_of(replayed(steps, number).get(name), as_of[row])
        assert list(told[row]) == pytest.approx(expected, nan_ok=True), (name, number)
    log = store.event_log()
    whole = replayed(steps, len(steps))
    assert {name: log.of(n).tolist() for n, name in enumerate(log.user_ids)} == {
        name: some.tolist() for name, some in whole.items()
    }
    parts = [each for part in store.parts() for each in store.event_log(part=part).user_ids]
    assert sorted(parts) == sorted(whole)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from(SHOPPERS))
def test_forgetting_reaches_what_was_merged(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step], name: str
) -> None:
    """All that was the shopper's goes, from whomever it came, and nothing of the others."""
    store = stored(tmp_path_factory.mktemp("home"), steps)
    whole = replayed(steps, len(steps))
    until_ms = {name: at_ms(len(steps))}
    store.forget(until_ms)
    store.forget_merges(until_ms)
    log = store.event_log()
    whole.pop(name, None)
    assert {each: log.of(n).tolist() for n, each in enumerate(log.user_ids)} == {
        each: some.tolist() for each, some in whole.items()
    }
    assert store.merges().sources(until_ms) == {}


def test_only_what_was_ever_a_shoppers_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand merges into others, none."""
    merges = Merges([(f"s{n}", f"u{n % 500}", 1_000 + n) for n in range(1_000)])
    looked, owner = list[Span](), Span.owner

    def noted(span: Span, as_of_ms: int) -> str:
        looked.append(span)
        return owner(span, as_of_ms)

    monkeypatch.setattr(Span, "owner", noted)
    assert [span.user_id for span in merges.spans("u7")] == ["u7", "s7", "s507"]
    assert [span.user_id for span in merges.spans("u7", 1_100)] == ["u7", "s7"]
    assert {span.user_id for span in looked} == {"s7", "s507"}


@given(STEPS, st.sets(st.sampled_from(SHOPPERS), min_size=1))
def test_those_who_concern_some_shoppers_tell_all_of_them(
    steps: list[Step], some: set[str]
) -> None:
    """Whoever was merged with nobody of them, however far, is left out and not missed."""
    merged = [
        (step.shopper, step.into, at_ms(number)) for number, step in enumerate(steps) if step.into
    ]
    rows = pl.DataFrame(merged, ["source", "into", "at"], orient="row")
    rows = rows.cast({"source": pl.String, "into": pl.String, "at": pl.Int64})
    whole, part = Merges(merged), Merges(concerning(rows, some).rows())
    until_ms = dict.fromkeys(some, at_ms(len(steps) // 2))
    stamps = {name: [at_ms(len(steps) // 3)] for name in SHOPPERS}
    assert part.arrived(until_ms) == whole.arrived(until_ms)
    assert part.sources(until_ms) == whole.sources(until_ms)
    assert part.rows(until_ms) == whole.rows(until_ms)
    assert part.became(some) == whole.became(some)
    assert [*part.gone(some, stamps)] == [*whole.gone(some, stamps)]
    for name in some:
        assert part.spans(name) == whole.spans(name)


def test_others_are_not_read_for_who_is_forgotten(tmp_path: Path) -> None:
    """Of a thousand merges those of one household are looked at, and each once in the whole."""
    store = OfflineStore(tmp_path)
    store.merge([(f"s{n}", f"u{n % 500}", 1_000 + n) for n in range(1_000)])
    store.merge([("s7", "u8", 5_000), ("u8", "u9", 6_000)])
    told = store.merges(["u9"])
    household = {"s7", "s8", "s9", "s507", "s508", "s509"}
    assert set(told.sources({"u9": 7_000})) == household - {"s507"} | {"u8"}
    assert told.became({"s1", *household}) == {"s1", *household, "u7", "u8", "u9"}
    assert store.merges() is store.merges()
    store.merge([("s1", "u2", 8_000)])
    assert store.merges().became({"s1"}) == {"s1", "u1", "u2"}


def test_a_merge_is_kept_once(tmp_path: Path) -> None:
    """Telling it again changes nothing."""
    store = OfflineStore(tmp_path)
    for _ in range(2):
        store.merge([("s", "u", 1_000), ("s", "u", 1_000), ("t", "u", 2_000)])
    assert len(store.scan("merges").collect()) == 2


def test_where_nobody_was_merged_nothing_is_looked_up() -> None:
    """Events and labels are those that were given."""
    merges = Merges([])
    events = pl.LazyFrame({"user_id": ["u"]})
    assert merges.owned(events) is events
    assert merges.expanded(events, pl.Series(["u"])) is events
    assert not merges
