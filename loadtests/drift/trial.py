"""One world: quiet windows, then the same again and again with something changed."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from loadtests.drift.peer import command, started
from loadtests.drift.rules import Naive, Ours, Rule, sample
from loadtests.drift.world import DRIFTED_NUMBERS, DRIFTED_WORDS, WORDS, Change, World
from models.reference.rows import SLOTS, Rows
from monitoring.drift.detector import SCALES
from monitoring.drift.reference import Reference

CHANGES: Mapping[str, Change] = {
    "0.1 sd": Change(shift=0.1),
    "0.2 sd": Change(shift=0.2),
    "0.3 sd": Change(shift=0.3),
    "sd x1.2": Change(scale=1.2),
    "5 % of a category": Change(moved=0.05),
    "new level 2 %": Change(new=0.02),
}

CURVE: Mapping[str, Change] = {f"{each:g} sd": Change(shift=each) for each in (0.05, 0.15, 0.25)}
"""More shifts, for the picture: what is found is drawn over their size."""

BEFORE = max(SCALES)
"""Quiet windows before each change."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many windows are looked at, and how many rows there are in each and in the reference."""

    quiet: int = 96
    changed: int = 24
    rows: int = 1_000
    reference_rows: int = SLOTS * 1_000


@dataclass(slots=True)
class Score:
    """What became of flags: on columns that drifted, and others, and the first window with one.

    `reached` has for each look the share of drifted columns that were flagged by then.
    """

    looks: int = 0
    possible: int = 0
    right: int = 0
    wrong: int = 0
    first: int | None = None
    reached: list[float] = field(default_factory=list)
    found: set[str] = field(default_factory=set)

    def add(self, flags: set[str], drifted: set[str]) -> None:
        """Count one look."""
        self.looks += 1
        self.possible += len(drifted)
        self.right += len(flags & drifted)
        self.wrong += len(flags - drifted)
        self.found |= flags & drifted
        self.reached.append(len(self.found) / len(drifted))
        if self.first is None and flags & drifted:
            self.first = self.looks


@dataclass(slots=True)
class Outcome:
    """What one rule said in one world, and how long it took, in processor time."""

    quiet: int = 0
    alarms: int = 0
    scores: dict[str, Score] = field(default_factory=dict)
    seconds: float = 0.0
    looks: int = 0


def try_out(
    seed: int, size: Size, *, naive: bool, curve: bool = False, libraries: Sequence[str] = ()
) -> dict[str, Outcome]:
    """Return what the rules say in a world; with `curve` our own of more shifts, too."""
    world = World(seed)
    rows = joined([world.hour(slot, size.reference_rows // SLOTS) for slot in range(SLOTS)])
    others: dict[str, Rule] = {"naive": Naive(rows)} if naive else {}
    with ExitStack() as stack:
        for name in libraries:
            others[name] = stack.enter_context(started(command(name), sample(rows)))
        return _tried(world, rows, size, others, {**CHANGES, **(CURVE if curve else {})})


def _tried(
    world: World, rows: Rows, size: Size, others: Mapping[str, Rule], changes: Mapping[str, Change]
) -> dict[str, Outcome]:
    words = [f"word {each}" for each in range(WORDS)]
    known = Reference.of(rows, words)
    outcomes = {name: Outcome() for name in ("ours", *others)}

    def rules(beside: bool = True) -> dict[str, Rule]:
        return {"ours": Ours(known), **(others if beside else {})}

    watching = rules()
    for number in range(BEFORE + size.quiet):
        for name, flags in _looked(watching, world.hour(number % SLOTS, size.rows), outcomes):
            if number >= BEFORE:
                outcomes[name].quiet += 1
                outcomes[name].alarms += bool(flags)
    for label, change in changes.items():
        watching, drifted = rules(label in CHANGES), _drifted(change)
        for rule in watching:
            outcomes[rule].scores[label] = Score()
        for number in range(BEFORE + size.changed):
            now = change if number >= BEFORE else Change()
            for name, flags in _looked(watching, world.hour(number, size.rows, now), outcomes):
                if number >= BEFORE:
                    outcomes[name].scores[label].add(flags, drifted)
    return outcomes


def joined(parts: list[Rows]) -> Rows:
    """Return all rows as one."""
    return Rows(
        np.concatenate([each.shoppers for each in parts]),
        np.concatenate([each.slots for each in parts]),
        {name: np.concatenate([each.values[name] for each in parts]) for name in parts[0].values},
    )


def _looked(
    rules: Mapping[str, Rule], window: Rows, outcomes: Mapping[str, Outcome]
) -> list[tuple[str, set[str]]]:
    told = []
    for name, rule in rules.items():
        start = rule.clock()
        told.append((name, rule.look(window)))
        outcomes[name].seconds += rule.clock() - start
        outcomes[name].looks += 1
    return told


def _drifted(change: Change) -> set[str]:
    numbers = DRIFTED_NUMBERS if change.shift or change.scale != 1 else 0
    words = DRIFTED_WORDS if change.moved or change.new else 0
    return {f"number {each}" for each in range(numbers)} | {f"word {each}" for each in range(words)}
