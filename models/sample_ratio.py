"""Whether shoppers are divided as was declared, told at any time without erring more often.

Who is in which arm is decided by their hash alone, so each new shopper is a draw from the declared
shares. Where what was counted is no such draw, some who were chosen are not counted, or count as
what they are not: then the arms are not alike, and no difference between them says anything.

The test is a mixture over shares around the declared one (Lindon and Malek, "Anytime-Valid
Inference For Multinomial Count Data", NeurIPS 2022, here with two categories): a Bayes factor that
the declared share lets exceed 1/p at any time with a probability of p at most.
"""

import math
from dataclasses import dataclass

LEVEL = 0.001
"""Of p, below which shares are not those that were declared."""

_PRIOR = 10.0
"""Shoppers of the canary that the mixture is worth: it is narrowest for a third more or fewer."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Shoppers that were counted, each once: of both arms, of the canary, and its declared share.

    `p` is how probable, at most, so unlikely a division has been at any time so far.
    """

    shoppers: int
    canary: int
    declared: float
    p: float

    @property
    def is_mismatch(self) -> bool:
        """Tell whether these are surely not the shares that were declared."""
        return self.p < LEVEL

    def __str__(self) -> str:
        """Return it as a sentence."""
        share = f"{self.canary / self.shoppers:.2%}, " if self.shoppers else ""
        return (
            f"shoppers: {self.canary} of {self.shoppers} have the canary, {share}"
            f"declared {self.declared:.2%} (p {self.p:.2g})"
        )


def sample_ratio(control: int, canary: int, declared: float) -> SampleRatio:
    """Return what is to be thought of so many shoppers in each arm; 0 < `declared` < 1."""
    shoppers = control + canary
    few, many = _PRIOR, _PRIOR * (1 - declared) / declared
    mixed = _log_beta(few + canary, many + control) - _log_beta(few, many)
    plain = canary * math.log(declared) + control * math.log1p(-declared)
    return SampleRatio(shoppers, canary, declared, math.exp(min(plain - mixed, 0.0)))


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)
