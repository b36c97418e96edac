"""What becomes of a canary: on, stop, or hold, by what it and its control did at the same time.

A guardrail is broken where the canary is surely worse than its margin allows, kept where it
surely is not, and open between. One broken stops; all kept, and enough seen, goes on; everything
else, no data above all, holds. So do arms that are not of the shares that were declared: what
makes some of an arm's shoppers miss may be what the arm does, and nothing then tells that none is
broken.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from models import canary_counts as counted
from models.canary import Canary
from models.canary_counts import CANARY, CONTROL, CanaryCounts
from models.rollout import Rollout
from models.sample_ratio import SampleRatio, sample_ratio
from models.sequential import UNKNOWN, Estimate, bounds, mean, ratio, share

EVIDENCE_FROM = 50
"""Requests of each arm below which nothing is told of it: too few for a normal distribution."""

HARM_FROM = 3
"""Groups of shoppers below which nothing is told of failures: few may be all who get the model."""

CLICKS_FROM = 20
"""Clicks of the control with a recommendation_id below which clicks are not judged."""

CLICK_GROUPS_FROM = 16
"""Groups of shoppers of either arm below which clicks are not judged: few of many click often."""


class Move(StrEnum):
    """What is to be done."""

    HOLD = "hold"
    ADVANCE = "advance"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One guardrail: the figure of both arms, and by how much the canary's is worse.

    From `low` to `high`, at all times, with the probability that was declared. None where there
    is nothing to tell it by.
    """

    guardrail: str
    control: float | None
    canary: float | None
    low: float | None
    high: float | None
    margin: float

    @property
    def is_broken(self) -> bool:
        """Tell whether the canary is surely worse than it may be."""
        return self.low is not None and self.low > self.margin

    @property
    def is_kept(self) -> bool:
        """Tell whether the canary surely is no worse than it may be."""
        return self.high is not None and self.high < self.margin

    def unsure(self) -> Self:
        """Return it as of shoppers who may all be of a kind by chance: strangers, above all."""
        return self if self.low is None else replace(self, low=min(self.low, 0.0))

    @property
    def figures(self) -> str:
        """Return its name and the figures of canary and control; there must be some."""
        return f"{self.guardrail} {self.canary:.4g} and {self.control:.4g}"

    def __str__(self) -> str:
        """Return it as a sentence."""
        if None in (self.control, self.canary, self.low, self.high):
            return f"{self.guardrail}: no data"
        return (
            f"{self.guardrail}: {self.canary:.4g} of the canary, {self.control:.4g} of the "
            f"control; worse by {self.low:.4g} to {self.high:.4g}, allowed {self.margin:g}"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done, why, and what it is judged by; in the shadow there is no `sample`."""

    move: Move
    why: str
    requests: int
    evidence: tuple[Evidence, ...]
    sample: SampleRatio | None = None

    @property
    def is_mismatch(self) -> bool:
        """Tell whether shoppers are not divided as was declared."""
        return self.sample is not None and self.sample.is_mismatch

    def told(self) -> dict[str, Any]:
        """Return all of it, JSON-able."""
        return asdict(self)


def judge(rollout: Rollout, canary: Canary, counts: CanaryCounts) -> Verdict:
    """Return what becomes of a canary now."""
    if canary.step == 0:
        told = _Told(
            tuple(_of_shadow(rollout, counts)),
            int(counts.shadow(counted.SHADOW_REQUESTS)),
            rollout.shadow.requests,
            counts.homes,
        )
    else:
        told = _Told(
            tuple(_of_arms(rollout, counts)),
            int(counts.total(CANARY, counted.REQUESTS)),
            rollout.least_requests,
            counts.homes,
            sample_ratio(counts.shoppers(CONTROL), counts.shoppers(CANARY), canary.share),
        )
    move, why = _decided(rollout, canary, told)
    return Verdict(move, why, told.requests, told.evidence, told.sample)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a verdict is made of."""

    evidence: tuple[Evidence, ...]
    requests: int
    least: int
    homes: int
    sample: SampleRatio | None = None

    @property
    def mismatch(self) -> list[SampleRatio]:
        """Return how shoppers are divided, if that is not as was declared."""
        return [self.sample] if self.sample is not None and self.sample.is_mismatch else []


def _decided(rollout: Rollout, canary: Canary, told: _Told) -> tuple[Move, str]:
    age_s = canary.age_s()
    seen = f"{told.requests} requests in {age_s:.0f} s"
    if told.homes > 1:
        seen = f"{seen}, {told.homes} homes"
    broken = [each for each in told.evidence if each.is_broken]
    if broken:  # harm is ended, whoever was counted
        return Move.STOP, f"{'; '.join(map(str, (*broken, *told.mismatch)))} ({seen})"
    still = _still_open(rollout, told, age_s)
    if still is None:
        figures = ", ".join(each.figures for each in told.evidence)
        return Move.ADVANCE, f"every guardrail is kept, canary and control: {figures} ({seen})"
    if canary.automatic and age_s > rollout.longest_s:
        return Move.STOP, f"no verdict within {rollout.longest_s:g} s: {still}"
    return Move.HOLD, still


def _still_open(rollout: Rollout, told: _Told, age_s: float) -> str | None:
    """Return what is waited for, None where there is nothing."""
    for each in told.mismatch:
        return f"sample ratio mismatch, no figure can be believed: {each}"
    if told.requests < told.least:
        return f"{told.requests} of {told.least} requests"
    if age_s < rollout.least_s:
        return f"{age_s:.0f} of {rollout.least_s:g} s"
    still = [str(each) for each in told.evidence if not each.is_kept]
    return "; ".join(still) or None


def _of_arms(rollout: Rollout, counts: CanaryCounts) -> Iterator[Evidence]:
    may = rollout.guardrails
    shares = (
        ("errors", counted.ERRORS, may.errors),
        ("fallbacks", counted.FALLBACKS, may.fallbacks),
        ("empty", counted.EMPTY, may.empty),
    )
    shoppers = _equal_shoppers(counts)
    for name, field, margin in shares:
        control, canary = (_arm_harm(counts, arm, field) for arm in (CONTROL, CANARY))
        told = _evidence(name, (control, canary), margin, rollout.alpha)
        yield told.unsure() if control.mean**shoppers > rollout.alpha else told
    arms = (_arm_latency_ms(counts, CONTROL), _arm_latency_ms(counts, CANARY))
    yield _evidence("latency_ms", arms, may.latency_ms, rollout.alpha)
    if _has_clicks(counts):
        arms = (_arm_clicks(counts, CONTROL), _arm_clicks(counts, CANARY))
        yield _evidence("clicks", arms, may.clicks, rollout.alpha, more_is_worse=False)


def _equal_shoppers(counts: CanaryCounts) -> float:
    """Return how many shoppers the canary has, as if all asked equally often (Kish 1965).

    They are counted; how often each asks is known of their groups.
    """
    asked = counts.of(CANARY, counted.REQUESTS)
    groups = int((asked > 0).sum())
    if not groups:
        return 0.0
    equal = float(asked.sum()) ** 2 / float(asked @ asked)
    return equal * max(counts.shoppers(CANARY) / groups, 1.0)


def _arm_harm(counts: CanaryCounts, arm: int, field: int) -> Estimate:
    """Return the share of requests that went wrong, with normal tails: few must do to end it."""
    if counts.total(arm, counted.REQUESTS) < EVIDENCE_FROM:
        return UNKNOWN
    told = share(counts.of(arm, field), counts.of(arm, counted.REQUESTS), HARM_FROM)
    return told._replace(freedom=math.inf)


def _has_clicks(counts: CanaryCounts) -> bool:
    groups = min(int((counts.of(arm, counted.REQUESTS) > 0).sum()) for arm in (CONTROL, CANARY))
    return groups >= CLICK_GROUPS_FROM and counts.total(CONTROL, counted.CLICKS) >= CLICKS_FROM


def _arm_clicks(counts: CanaryCounts, arm: int) -> Estimate:
    if counts.total(arm, counted.REQUESTS) < EVIDENCE_FROM:
        return UNKNOWN
    return share(counts.of(arm, counted.CLICKS), counts.of(arm, counted.REQUESTS))


def _arm_latency_ms(counts: CanaryCounts, arm: int) -> Estimate:
    if counts.total(arm, counted.RANKED) < EVIDENCE_FROM:
        return UNKNOWN
    return ratio(1e3 * counts.of(arm, counted.SECONDS), counts.of(arm, counted.RANKED))


def _of_shadow(rollout: Rollout, counts: CanaryCounts) -> Iterator[Evidence]:
    may, least = rollout.guardrails, rollout.shadow.least_overlap
    count = counts.shadow(counted.SHADOW_REQUESTS)
    whole = count - counts.shadow(counted.SHADOW_FAILED)
    shares = (
        ("errors", counted.SHADOW_FAILED, may.errors),
        ("empty", counted.SHADOW_EMPTY, may.empty),
    )
    never = Estimate(0.0, 0.0)
    for name, field, margin in shares:
        part = counts.shadow(field)
        rate = (part + 0.5) / (count + 1)
        told = Estimate(part / count, rate * (1 - rate) / count) if _is_enough(count) else UNKNOWN
        yield _evidence(name, (never, told), margin, rollout.alpha)
    slower = mean(counts.shadow(counted.SLOWER_S), counts.shadow(counted.SLOWER_SQUARES), whole)
    if not _is_enough(whole):
        slower = UNKNOWN
    in_ms = Estimate(1e3 * slower.mean, 1e6 * slower.variance)
    usual = Estimate(1e3 * counts.shadow(counted.CONTROL_S) / max(whole, 1), 0.0)
    yield _evidence("latency_ms", (usual, _plus(in_ms, usual)), may.latency_ms, rollout.alpha)
    if least:
        same = mean(counts.shadow(counted.OVERLAP), counts.shadow(counted.OVERLAP_SQUARES), whole)
        told = same if _is_enough(whole) else UNKNOWN
        same_as_itself = Estimate(1.0, 0.0)
        yield _evidence(
            "overlap", (same_as_itself, told), 1 - least, rollout.alpha, more_is_worse=False
        )


def _is_enough(requests: float) -> bool:
    return requests >= EVIDENCE_FROM


def _plus(one: Estimate, other: Estimate) -> Estimate:
    return Estimate(one.mean + other.mean, one.variance + other.variance)


def _evidence(
    name: str,
    arms: tuple[Estimate, Estimate],
    margin: float,
    alpha: float,
    *,
    more_is_worse: bool = True,
) -> Evidence:
    control, canary = arms
    worse = canary.minus(control) if more_is_worse else control.minus(canary)
    if not math.isfinite(worse.variance):
        return Evidence(name, None, None, None, None, margin)
    return Evidence(name, control.mean, canary.mean, *bounds(worse, margin, alpha), margin)
