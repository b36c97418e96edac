"""One column of a window beside its reference: is it another distribution, and by how much.

Numbers are compared by the statistic of Kolmogorov and Smirnov, and by the means of their normal
scores and of the scores' squares, which see a small shift or widening sooner; levels by chi-square
of two samples. Rows of one shopper are no independent ones: both counts of rows are divided by the
design effect 1 + (m - 1)·r (Kish 1965), m being the rows that a row is in company with and r how
alike they are. Chi-square has fewer degrees of freedom where r differs by level (Rao, Scott 1984),
and becomes an F of as many more as there are shoppers, since few of them make it vary more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, kolmogorov, ndtr

from monitoring.drift.columns import Column, Floats, Ints, NumericColumn
from monitoring.drift.reference import Alike, Matched


@dataclass(frozen=True, slots=True)
class Compared:
    """The probability `p` of such a difference where there is none, and its size.

    `effect` is for numbers the distance between the distributions in standard deviations
    (Wasserstein's first), for levels Jensen and Shannon's distance, base 2; both have 0 where
    nothing differs. A share of missing or never seen values is measured as levels are.
    """

    p: float
    effect: float


@dataclass(frozen=True, slots=True)
class Company:
    """How many rows there are on one side, and how many of them a row is in company with."""

    rows: float
    per_shopper: float


def compare(
    column: Column, counts: Ints, matched: Matched, alike: Alike, window: Company
) -> Compared:
    """Compare `counts` of a column in a `window` with what is `matched`."""
    shares = counts / counts.sum()
    strangers = 1 / window.rows + matched.strangers
    company = (window.per_shopper - 1) / window.rows + matched.company
    if isinstance(column, NumericColumn):
        p = combined(_tests(column, shares, matched.shares, alike, strangers, company))
        return Compared(p, _numeric_effect(column, shares, matched.shares))
    uncertain = strangers + company * alike.shares
    usual = 1 / (window.rows * strangers)  # the reference's weight in what both are together
    pooled = usual * matched.shares + (1 - usual) * shares
    there = pooled > 0
    statistic = float(((shares - matched.shares)[there] ** 2 / pooled[there]).sum()) / uncertain
    uneven = 1 + company**2 * alike.uneven / uncertain**2
    freedom = int(there.sum()) - 1
    if not freedom:
        return Compared(1.0, 0.0)
    shoppers = max(window.rows / window.per_shopper - 1, 1.0)
    p = float(fdtrc(freedom / uneven, shoppers, statistic / freedom))
    return Compared(p, _distance(shares, matched.shares))


def combined(p_values: Sequence[float]) -> float:
    """Return one p of several that may depend on each other (Cauchy: Liu and Xie, JASA 2020)."""
    p = np.clip(p_values, 1e-15, 1 - 1e-3)
    told = 0.5 - float(np.arctan(np.tan((0.5 - p) * np.pi).mean())) / np.pi
    return max(told, 0.0)


def _tests(
    column: NumericColumn,
    shares: Floats,
    reference: Floats,
    alike: Alike,
    strangers: float,
    company: float,
) -> list[float]:
    """Return p for the whole distribution, for where it lies, and for how wide it is."""
    gap = np.abs(np.cumsum(shares - reference)).max()
    tests = [float(kolmogorov(gap / np.sqrt(strangers + company * alike.shares)))]
    known, expected = shares[1:].sum(), reference[1:].sum()
    if not known or not expected:
        return tests
    now, usual = shares[1:] / known, reference[1:] / expected
    for scores, likeness in (
        (column.scores[1:], alike.place),
        (column.scores[1:] ** 2, alike.width),
    ):
        spread = float(usual @ scores**2 - (usual @ scores) ** 2)
        if spread > 0:
            uncertain = spread * (strangers + company * likeness) / known
            tests.append(float(2 * ndtr(-abs((now - usual) @ scores) / np.sqrt(uncertain))))
    return tests


def _numeric_effect(column: NumericColumn, shares: Floats, reference: Floats) -> float:
    ends = [0, 1, len(shares) - 1]
    outside = _distance(_coarse(shares, ends), _coarse(reference, ends))
    known, expected = shares[1:].sum(), reference[1:].sum()
    if not known or not expected or not column.spread:
        return outside
    gaps = np.abs(np.cumsum(shares[1:] / known - reference[1:] / expected))
    places = np.concatenate((column.edges[1:2], column.centres, column.edges[-1:]))
    moved = float((gaps[:-1] * np.diff(places)).sum()) / column.spread
    return max(moved, outside)


def _coarse(shares: Floats, ends: list[int]) -> Floats:
    told = shares[ends]
    return np.append(told, 1 - told.sum())


def _distance(one: Floats, other: Floats) -> float:
    """Return Jensen and Shannon's distance of two distributions, from 0 to 1."""
    middle = (one + other) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [
            np.where(each > 0, each * np.log2(each / middle), 0.0).sum() for each in (one, other)
        ]
    return float(np.sqrt(max(sum(terms) / 2, 0.0)))
