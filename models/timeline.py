"""The past of a store, cut at several moments: what could have been learnt at each of them.

    60 %   70 %   80 %   90 %  100 %    of all pairs of a shopper and an item
     ├ learn ┼ learn ┤ judge ┤      │    choices, and what orders candidates
     │      ├ learn ┼ learn ┤ judge ┤    the figures
     │      │      ├ learn ┼ learn ┤     the ranker that serves

At each cut everything is made anew from what was there before.
"""

from functools import cached_property

import numpy as np

from features.catalogue import Catalogue
from features.eventlog import EventLog
from models.choices import Choices, choose, usual
from models.dataset import Interactions, interactions, moment_of
from models.examples import Examples, examples_of
from models.exposures import UNKNOWN, Exposures, See
from models.fit import fit
from models.gram import Gram, gram_of
from models.item_table import ItemTable
from models.items import Items
from models.model import Model
from models.newcomers import Newcomers
from models.parts import Parts
from models.split import Split, temporal_split
from models.stages import Stages
from models.validated import LEAST_JUDGED

VALIDATION = 0.8
TEST = 0.9
NOW = 1.0
LEARNT_FROM = {VALIDATION: (0.6, 0.7), TEST: (0.7, VALIDATION), NOW: (VALIDATION, TEST)}
"""Where the splits are cut that teach the ranker of a moment; they end before it."""

CAME = (0.3, 0.4, 0.5, 0.6, 0.7, VALIDATION)
"""Those who came in the tenths from here on decide what newcomers are shown."""

_SPAN = 0.1
"""How far a split looks on, as a share of the pairs."""

_CUTS = (*LEARNT_FROM[VALIDATION], *LEARNT_FROM[NOW])
"""Where splits are cut in any case."""


class Timeline:
    """A log and the splits cut from it; what is made for one is made once."""

    def __init__(
        self,
        log: EventLog,
        catalogue: Catalogue,
        seed: int,
        stages: Stages | None = None,
        gram: Gram = gram_of,
        see: See | None = None,
    ) -> None:
        """Cut nothing yet; with `stages` what was made before, of the same, is used.

        Without `see` nobody knows what shoppers saw.
        """
        self.gram = gram
        self._see = see
        self.log = log
        self.catalogue = catalogue
        self.seed = seed
        self._stages = stages or Stages()
        told = self._stages.arrays("pairs", lambda: interactions(log, catalogue).arrays())
        self.pairs: Interactions = Interactions.of(told, len(log.user_ids), len(catalogue))
        self._splits: dict[float, Split] = {}
        self._earlier: dict[float, Interactions] = {}
        self._parts: dict[float, Parts] = {}
        self._examples: dict[float, Examples] = {}

    @cached_property
    def can_be_judged(self) -> bool:
        """Tell whether there are shoppers enough to measure anything by."""
        return all(len(self.split(cut)) >= LEAST_JUDGED for cut in (VALIDATION, TEST))

    @cached_property
    def choices(self) -> Choices:
        """What the validation split decides, the usual where it holds too few shoppers."""
        if not self.can_be_judged:
            return usual(self.catalogue)
        return choose(self.catalogue, self.split(VALIDATION), self.gram, self.newcomers)

    def moment(self, share: float) -> int:
        """Return the time, in milliseconds, before which `share` of the pairs were there."""
        if share < NOW:
            return moment_of(self.pairs, share)
        return int(self.log.records["ts"].max(initial=-1)) + 1

    def _span(self, cut: float) -> tuple[int, int]:
        """Return the moments between which the split at `cut` looks on."""
        return self.moment(cut), self.moment(round(cut + _SPAN, 6))

    def split(self, cut: float) -> Split:
        """Return the split at `cut`, a share of the pairs."""
        if cut not in self._splits:
            start, end = self._span(cut)
            told = self._stages.arrays(
                f"split-{cut}",
                lambda: temporal_split(self.log, self.catalogue, start, end).arrays(),
            )
            self._splits[cut] = Split.of(told, self.log, len(self.catalogue), start)
        return self._splits[cut]

    @cached_property
    def newcomers(self) -> list[Newcomers]:
        """Return who came in each tenth of the past that may decide anything, in order of time."""
        return [self.came(cut) for cut in CAME]

    def came(self, cut: float) -> Newcomers:
        """Return who came in the tenth after a cut."""
        end = self._known(round(cut + _SPAN, 6))
        return Newcomers.between(self._known(cut), end, self.moment(cut))

    def _known(self, cut: float) -> Interactions:
        """Return the pairs that were there at a cut."""
        if cut in (NOW, *_CUTS):
            return self.pairs if cut == NOW else self.split(cut).known
        if cut not in self._earlier:
            told = self._stages.arrays(
                f"pairs-{cut}",
                lambda: interactions(self.log, self.catalogue, self.moment(cut)).arrays(),
            )
            users, items = len(self.log.user_ids), len(self.catalogue)
            self._earlier[cut] = Interactions.of(told, users, items)
        return self._earlier[cut]

    def parts(self, cut: float) -> Parts:
        """Return what would have been trained at `cut`, without a ranker."""
        if cut not in self._parts:
            pairs = self.pairs if cut == NOW else self.split(cut).known
            at_ms = self.moment(cut)
            self._parts[cut] = fit(self.log, pairs, self.catalogue, self.choices, at_ms, self.gram)
        return self._parts[cut]

    def examples(self, cut: float) -> Examples:
        """Return what a ranker learns from the split at `cut`."""
        if cut not in self._examples:
            told = self._stages.arrays(f"examples-{cut}", lambda: self._examples_of(cut).arrays())
            self._examples[cut] = Examples(**told)
        return self._examples[cut]

    def _examples_of(self, cut: float) -> Examples:
        exposures = self.exposures.between(*self._span(cut))
        return examples_of(Model(self.parts(cut)), self.split(cut), exposures)

    @cached_property
    def exposures(self) -> Exposures:
        """What the shoppers of all splits saw before they wanted it, as far as it was logged."""
        see = self._see
        if see is None:
            return UNKNOWN
        users = np.unique(np.concatenate([self.split(cut).users for cut in _CUTS]))
        items = Items(ItemTable.of(self.catalogue))
        told = self._stages.arrays(
            "exposures",
            lambda: (
                Exposures.of_log(self.log.user_ids, users, items, see)
                .until_wanted(self.pairs)
                .arrays()
            ),
        )
        return Exposures(**told)
