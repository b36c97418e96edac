"""The past of a store, cut at several moments: what could have been learnt at each of them.

    60 %   70 %   80 %   90 %  100 %    of all pairs of a shopper and an item
     ├ learn ┼ learn ┤ judge ┤      │    choices, and what orders candidates
     │      ├ learn ┼ learn ┤ judge ┤    the figures
     │      │      ├ learn ┼ learn ┤     the ranker that serves

At the start of each window everything is made anew from what was there before.
"""

from functools import cached_property

from features.catalogue import Catalogue
from features.eventlog import EventLog
from models.choices import Choices, choose
from models.dataset import Interactions, interactions, moment_of
from models.ease import Gram, gram_of
from models.examples import Examples, examples_of
from models.fit import fit
from models.model import Model
from models.parts import Parts
from models.stages import Stages
from models.window import Window, open_window

VALIDATION = 0.8
TEST = 0.9
NOW = 1.0
LEARNT_FROM = {VALIDATION: (0.6, 0.7), TEST: (0.7, VALIDATION), NOW: (VALIDATION, TEST)}
"""The windows that teach the ranker of a moment; all that happens in them lies before it."""

LEAST_JUDGED = 20
"""Shoppers to judge in the validation window and the last, or nothing can be measured."""

_WINDOW = 0.1


class Timeline:
    """A log and the windows cut from it; what is made for one is made once."""

    def __init__(
        self,
        log: EventLog,
        catalogue: Catalogue,
        seed: int,
        stages: Stages | None = None,
        gram: Gram = gram_of,
    ) -> None:
        """Cut nothing yet; with `stages` what was made before, of the same, is used."""
        self.gram = gram
        self.log = log
        self.catalogue = catalogue
        self.seed = seed
        self._stages = stages or Stages()
        told = self._stages.arrays("pairs", lambda: interactions(log, catalogue).arrays())
        self.pairs: Interactions = Interactions.of(told, len(log.user_ids), len(catalogue))
        self._windows: dict[float, Window] = {}
        self._parts: dict[float, Parts] = {}
        self._examples: dict[float, Examples] = {}

    @cached_property
    def can_be_judged(self) -> bool:
        """Tell whether there are shoppers enough to measure anything by."""
        return all(len(self.window(cut)) >= LEAST_JUDGED for cut in (VALIDATION, TEST))

    @cached_property
    def choices(self) -> Choices:
        """What the validation window decides, the usual where it holds too few shoppers."""
        if not self.can_be_judged:
            return Choices()
        return choose(self.catalogue, self.window(VALIDATION), self.seed, self.gram)

    def moment(self, share: float) -> int:
        """Return the time, in milliseconds, before which `share` of the pairs were there."""
        if share < NOW:
            return moment_of(self.pairs, share)
        return int(self.log.records["ts"].max(initial=-1)) + 1

    def window(self, cut: float) -> Window:
        """Return the window that begins at `cut`, a share of the pairs."""
        if cut not in self._windows:
            start, end = self.moment(cut), self.moment(round(cut + _WINDOW, 6))
            told = self._stages.arrays(
                f"window-{cut}",
                lambda: open_window(self.log, self.catalogue, start, end).arrays(),
            )
            self._windows[cut] = Window.of(told, self.log, len(self.catalogue), start)
        return self._windows[cut]

    def parts(self, cut: float) -> Parts:
        """Return what would have been trained at `cut`, without a ranker."""
        if cut not in self._parts:
            pairs = self.pairs if cut == NOW else self.window(cut).known
            at_ms = self.moment(cut)
            self._parts[cut] = fit(
                self.log, pairs, self.catalogue, self.choices, at_ms, self.seed, self.gram
            )
        return self._parts[cut]

    def examples(self, cut: float) -> Examples:
        """Return what a ranker learns from the window that begins at `cut`."""
        if cut not in self._examples:
            told = self._stages.arrays(
                f"examples-{cut}",
                lambda: examples_of(Model(self.parts(cut)), self.window(cut)).arrays(),
            )
            self._examples[cut] = Examples(**told)
        return self._examples[cut]
