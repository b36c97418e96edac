"""What becomes of a canary: by sums of several workers, and never for want of data."""

import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.ids import stable_hash
from models import canary_counts as counted
from models.canary import Assignment, Canary
from models.canary_counts import (
    CANARY,
    CONTROL,
    PLACES,
    CanaryCounter,
    CanaryCounts,
    Cells,
    read_counts,
)
from models.rollout import parse_rollout
from models.sample_ratio import sample_ratio
from models.verdict import Move, judge

ROLLOUT = parse_rollout(
    "least_requests: 500\nleast_s: 0\nlongest_s: 1000\nguardrails: {clicks: 0.05}", ""
)


def step(number: int = 1, *, automatic: bool = True) -> Canary:
    """Return a step that began just now."""
    return Canary.begun("v2", number, 0.05 if number else 0.0, automatic=automatic)


def served(
    home: Path,
    canary: Canary,
    requests: int,
    *,
    has_clicks: bool = False,
    **worse: float,
) -> CanaryCounts:
    """Count requests of each arm; `worse` are rates of the canary beside 2 % of fallbacks."""
    drawn = random.Random(1)
    counter = CanaryCounter(home, canary)
    rates = {"errors": 0.0, "fallbacks": 0.02, "empty": 0.0, "latency_ms": 10.0, "clicks": 0.1}
    for arm, of_arm in ((CONTROL, rates), (CANARY, {**rates, **worse})):
        for _ in range(requests):
            shopper = stable_hash(str(drawn.random()))
            counter.add(arm, shopper, counted.REQUESTS)
            counter.add(arm, shopper, counted.RANKED)
            counter.add(arm, shopper, counted.SECONDS, 1e-3 * of_arm["latency_ms"] * drawn.random())
            for name in ("errors", "fallbacks", "empty"):
                if drawn.random() < of_arm[name]:
                    counter.add(arm, shopper, getattr(counted, name.upper()))
            if has_clicks and drawn.random() < of_arm["clicks"]:
                counter.add(arm, shopper, counted.CLICKS)
    return read_counts(home, canary)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_no_data_holds(tmp_path: Path, number: int) -> None:
    """Nothing was counted, or only by the control: nothing happens, however long."""
    canary = step(number)
    verdict = judge(ROLLOUT, canary, read_counts(tmp_path, canary))
    assert (verdict.move, verdict.requests) == (Move.HOLD, 0)
    counter = CanaryCounter(tmp_path, canary)
    for shopper in range(10_000):
        counter.add(CONTROL, shopper, counted.REQUESTS)
    assert judge(ROLLOUT, canary, read_counts(tmp_path, canary)).move is Move.HOLD


def test_a_good_one_goes_on(tmp_path: Path) -> None:
    """Every guardrail is kept; where clicks are told, they too."""
    canary = step()
    verdict = judge(ROLLOUT, canary, served(tmp_path, canary, 5_000, has_clicks=True))
    assert verdict.move is Move.ADVANCE, verdict
    kept = [each.guardrail for each in verdict.evidence]
    assert kept == ["errors", "fallbacks", "empty", "latency_ms", "clicks"]
    figures = r"errors 0 and 0, fallbacks 0\.0\d+ and 0\.0\d+, empty 0 and 0, latency_ms \d.*"
    told = rf"every guardrail is kept, canary and control: {figures} \(5000 requests in 0 s\)"
    assert re.fullmatch(told, verdict.why)


def test_little_is_not_enough(tmp_path: Path) -> None:
    """Fewer requests than are asked for hold, so does a time that is not over."""
    canary = step()
    counts = served(tmp_path, canary, 400)
    assert judge(ROLLOUT, canary, counts).why == "400 of 500 requests"
    rollout = replace(ROLLOUT, least_requests=100, least_s=60.0)
    assert judge(rollout, canary, counts).why == "0 of 60 s"


@pytest.mark.parametrize(
    ("name", "rate"),
    [("errors", 0.3), ("fallbacks", 0.5), ("empty", 0.3), ("latency_ms", 200.0), ("clicks", 0.0)],
)
def test_harm_stops_and_is_named(tmp_path: Path, name: str, rate: float) -> None:
    """Before as many requests as a step asks for, and by hand as well."""
    canary = step(automatic=False)
    requests = 5_000 if name == "clicks" else 300
    counts = served(tmp_path, canary, requests, has_clicks=True, **{name: rate})
    verdict = judge(replace(ROLLOUT, least_requests=10_000), canary, counts)
    assert (verdict.move, verdict.why.startswith(f"{name}: ")) == (Move.STOP, True)


@pytest.mark.parametrize("automatic", [True, False])
@pytest.mark.parametrize(("groups", "move"), [(2, Move.HOLD), (3, Move.STOP), (4, Move.STOP)])
def test_what_fails_for_a_handful_stops(
    tmp_path: Path, groups: int, move: Move, automatic: bool
) -> None:
    """A small shop has no more on trial; of how fast they are served nothing is told."""
    canary = step(automatic=automatic)
    counter = CanaryCounter(tmp_path, canary)
    for number in range(64 * 30):
        counter.add(CONTROL, number, counted.REQUESTS)
        counter.add(CANARY, number % groups, counted.REQUESTS)
        counter.add(CANARY, number % groups, counted.ERRORS)
    verdict = judge(ROLLOUT, canary, read_counts(tmp_path, canary))
    assert verdict.move is move
    assert verdict.evidence[-1].low is None
    old = replace(canary, since="2026-01-01T00:00:00+00:00")
    counts = read_counts(tmp_path, canary)
    ends = automatic or move is Move.STOP
    assert judge(ROLLOUT, old, counts).move is (Move.STOP if ends else Move.HOLD)


@pytest.mark.parametrize(("groups", "is_judged"), [(15, False), (16, True)])
def test_clicks_of_few_are_not_judged(tmp_path: Path, groups: int, is_judged: bool) -> None:
    """Nor waited for, as where hardly anybody clicks."""
    canary = step()
    counter = CanaryCounter(tmp_path, canary)
    for number in range(64 * 30):
        for arm, shopper in ((CONTROL, number), (CANARY, number % groups)):
            counter.add(arm, shopper, counted.REQUESTS)
            counter.add(arm, shopper, counted.CLICKS)
    verdict = judge(ROLLOUT, canary, read_counts(tmp_path, canary))
    assert ("clicks" in {each.guardrail for each in verdict.evidence}) is is_judged


def fallbacks(asked: Cells, fell_back: Cells, strangers: float, shoppers: int = 0) -> Move:
    """Return what becomes of a canary with these lists, float64[groups], beside a large control."""
    cells, places = np.zeros((2, 64, 8)), np.zeros(PLACES, np.uint8)
    cells[CONTROL, :, counted.REQUESTS] = 3_000
    cells[CONTROL, :, counted.FALLBACKS] = 3_000 * strangers
    cells[CANARY, : len(asked), counted.REQUESTS] = asked
    cells[CANARY, : len(asked), counted.FALLBACKS] = fell_back
    places[:shoppers] = 1 + CANARY
    told = np.concatenate((cells.ravel(), np.zeros(16)))
    return judge(ROLLOUT, step(), CanaryCounts(told, places)).move


@pytest.mark.parametrize("strangers", [0.3, 0.6, 0.9])
def test_a_handful_who_are_all_strangers_do_no_harm(strangers: float) -> None:
    """Who always gets what is popular does so of either model: of few shoppers many may be such."""
    drawn, stopped = np.random.default_rng(5), 0
    for groups in (3, 4, 5, 6, 8) * 40:
        asked = np.full(groups, 60.0)
        fell_back = asked * (drawn.random(groups) < strangers)
        stopped += fallbacks(asked, fell_back, strangers) is Move.STOP
    assert stopped <= 1


def test_a_stranger_who_asks_more_than_all_others_does_no_harm() -> None:
    """Sixteen shoppers, of whom one makes most requests, are not many."""
    drawn, stopped = np.random.default_rng(5), 0
    for _ in range(200):
        asked = np.ceil(60 * drawn.lognormal(0, 2, 16))
        stopped += fallbacks(asked, asked * (drawn.random(16) < 0.7), 0.7) is Move.STOP
    assert stopped <= 2


def test_many_shoppers_who_all_fall_back_are_harm() -> None:
    """Where nearly all are strangers, too: of thousands all are such by no chance."""
    asked = np.full(64, 2_000.0)
    assert fallbacks(asked, asked, 0.94, shoppers=5_000) is Move.STOP
    assert fallbacks(asked, asked, 0.94, shoppers=70) is not Move.STOP


def test_what_is_open_holds_and_then_ends(tmp_path: Path) -> None:
    """As bad as its margin: neither harm nor none. After the longest time the trial ends."""
    canary = step()
    counts = served(tmp_path, canary, 2_000, fallbacks=0.07)
    verdict = judge(ROLLOUT, canary, counts)
    assert (verdict.move, verdict.why.startswith("fallbacks: ")) == (Move.HOLD, True)
    old = replace(canary, since="2026-01-01T00:00:00+00:00")
    verdict = judge(ROLLOUT, old, counts)
    assert (verdict.move, verdict.why.startswith("no verdict within 1000 s: ")) == (Move.STOP, True)
    assert judge(ROLLOUT, replace(old, automatic=False), counts).move is Move.HOLD


def test_the_shadow_is_judged(tmp_path: Path) -> None:
    """Lists that are as before, and as quick, go on; strange, failing or slow ones do not."""

    def looked_at(overlap: float, failed: float = 0.0, slower_s: float = 0.0) -> Move:
        canary = step(0)
        counter = CanaryCounter(tmp_path, canary)
        drawn = random.Random(2)
        for _ in range(400):
            counter.add_shadow(counted.SHADOW_REQUESTS, 1)
            if drawn.random() < failed:
                counter.add_shadow(counted.SHADOW_FAILED, 1)
                continue
            same = min(max(drawn.gauss(overlap, 0.02), 0), 1)
            counter.add_shadow(counted.OVERLAP, same)
            counter.add_shadow(counted.OVERLAP_SQUARES, same**2)
            slower = drawn.gauss(slower_s, 1e-4)
            counter.add_shadow(counted.SLOWER_S, slower)
            counter.add_shadow(counted.SLOWER_SQUARES, slower**2)
            counter.add_shadow(counted.CONTROL_S, 1e-3)
        return judge(ROLLOUT, canary, read_counts(tmp_path, canary)).move

    assert looked_at(0.5) is Move.ADVANCE
    assert looked_at(0.0) is Move.STOP
    assert looked_at(0.5, failed=0.1) is Move.STOP
    assert looked_at(0.5, slower_s=0.05) is Move.STOP


def test_workers_add_up_exactly_and_stay_when_they_end(tmp_path: Path) -> None:
    """Each has a file of its own; another step begins at zero."""
    canary = step()
    for worker in range(3):
        counter = CanaryCounter(tmp_path, canary)
        assert counter.is_shared
        for shopper in range(1_000):
            counter.add(CANARY, shopper, counted.SECONDS, 0.125 * (worker + 1))
        del counter
    counts = read_counts(tmp_path, canary)
    assert counts.total(CANARY, counted.SECONDS) == 750
    assert counts.of(CANARY, counted.SECONDS).min() > 0
    later = canary.moved_to(2, 0.25)
    CanaryCounter(tmp_path, later)
    assert read_counts(tmp_path, later).total(CANARY, counted.SECONDS) == 0
    assert read_counts(tmp_path, canary).total(CANARY, counted.SECONDS) == 0


def divided(home: Path, canary: Canary, control: int, of_canary: int) -> CanaryCounts:
    """Count requests of so many shoppers of each arm, all of them as they should be."""
    counter, number = CanaryCounter(home, canary), 0
    for arm, shoppers in ((CONTROL, control), (CANARY, of_canary)):
        for _ in range(shoppers):
            number += 1
            counter.add_shopper(arm, number)
            for field in (counted.REQUESTS, counted.RANKED):
                counter.add(arm, number, field, 4)
    return read_counts(home, canary)


def test_shares_that_are_not_as_declared_hold(tmp_path: Path) -> None:
    """However well the canary does: who is missing may be whom it did not answer."""
    canary = step()
    assert judge(ROLLOUT, canary, divided(tmp_path / "a", canary, 9_500, 500)).move is Move.ADVANCE
    counts = divided(tmp_path / "b", canary, 9_500, 350)
    verdict = judge(ROLLOUT, canary, counts)
    assert (verdict.move, verdict.is_mismatch) == (Move.HOLD, True)
    assert verdict.why.startswith(
        "sample ratio mismatch, no figure can be believed: shoppers: 350 of 9850 have the canary, "
        "3.55%, declared 5.00% (p "
    )
    assert verdict.told()["sample"]["canary"] == 350
    old = replace(canary, since="2026-01-01T00:00:00+00:00")
    verdict = judge(ROLLOUT, old, counts)
    assert (verdict.move, verdict.why.partition(": ")[2][:12]) == (Move.STOP, "sample ratio")


def test_harm_ends_a_trial_whoever_is_missing(tmp_path: Path) -> None:
    """A canary that fails may not go on because it also loses shoppers; both are told."""
    canary = step()
    divided(tmp_path, canary, 9_500, 300)
    counts = served(tmp_path, canary, 500, errors=0.9)
    verdict = judge(ROLLOUT, canary, counts)
    assert verdict.move is Move.STOP
    assert verdict.why.startswith("errors: ")
    assert "shoppers: 300 of 9800 have the canary" in verdict.why


def test_one_shopper_who_asks_all_the_time_is_one(tmp_path: Path) -> None:
    """A robot among the canary's shoppers makes no mismatch: shoppers are counted, not requests."""
    canary = step()
    divided(tmp_path, canary, 9_500, 500)
    counter = CanaryCounter(tmp_path, canary)
    for _ in range(5_000):
        counter.add_shopper(CANARY, 9_600)
        counter.add(CANARY, 9_600, counted.REQUESTS)
    verdict = judge(ROLLOUT, canary, read_counts(tmp_path, canary))
    assert not verdict.is_mismatch
    assert (verdict.sample and verdict.sample.canary) == 500


def test_shoppers_of_one_place_count_once_whichever_arm_is_first() -> None:
    """What two of them have in common says nothing of their arms, so that none is favoured."""
    drawn, canary = random.Random(3), Canary.begun("v2", 1, 0.25, automatic=True)
    counter, has = CanaryCounter(Path("/dev/null"), canary), Assignment(canary).has
    seen = [0, 0]
    for _ in range(2 * counted.PLACES):
        shopper = drawn.getrandbits(64)
        arm = CANARY if has(shopper) else CONTROL
        before = counter._places[shopper % counted.PLACES]
        counter.add_shopper(arm, shopper)
        seen[arm] += not before
    assert 0.8 < sum(seen) / counted.PLACES < 0.9  # 1 - 1/e² of the places are taken
    assert not sample_ratio(seen[CONTROL], seen[CANARY], canary.share).is_mismatch


def test_a_disk_that_refuses_means_no_data(tmp_path: Path) -> None:
    """The worker serves on, and nobody hears of what it counts."""
    (tmp_path / "run").write_bytes(b"")
    canary = step()
    counter = CanaryCounter(tmp_path, canary)
    counter.add(CANARY, 1, counted.REQUESTS)
    assert not counter.is_shared
    assert judge(ROLLOUT, canary, read_counts(tmp_path, canary)).move is Move.HOLD
