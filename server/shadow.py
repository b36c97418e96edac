"""A model that ranks beside the one that answers: a sample of requests, off the answer path.

ranked ─ some of them ─ short queue ─ a thread, within its share of a processor ─ sums

What there is no room for is not looked at: no answer waits.
"""

import logging
from queue import SimpleQueue
from random import random
from threading import Event, Thread
from time import thread_time

from models import canary_counts as counted
from models.canary_counts import CanaryCounter
from models.model import Model
from models.request import Listed, RankRequest
from models.rollout import Shadow

log = logging.getLogger(__name__)

QUEUE_LENGTH = 16

_Sample = tuple[Model, RankRequest, Listed]


class ShadowRanker:
    """Ranks again what was ranked, by both models, and adds up how they differ.

    Both run alone in one thread, so that their times compare.
    """

    def __init__(self, model: Model, counter: CanaryCounter, shadow: Shadow) -> None:
        """Begin to look at what `offer` brings."""
        self._model = model
        self._counter = counter
        self._share = shadow.share
        self._pause = 1 / shadow.cpu_share - 1
        self._samples: SimpleQueue[_Sample | None] = SimpleQueue()
        self._stopped = Event()
        self._has_told = False
        Thread(target=self._run, name="shadow", daemon=True).start()

    def offer(self, control: Model, request: RankRequest, listed: Listed) -> None:
        """Look at a request, perhaps; not at one with a segment, a row of its own model's."""
        is_wanted = random() < self._share and request.segment is None  # noqa: S311 - no secret
        if is_wanted and self._samples.qsize() < QUEUE_LENGTH:
            self._samples.put((control, request, listed))

    def stop(self) -> None:
        """Look at nothing more; what is under way ends by itself."""
        self._stopped.set()
        self._samples.put(None)

    def _run(self) -> None:
        while (sample := self._samples.get()) is not None and not self._stopped.is_set():
            started = thread_time()
            try:
                self._compare(*sample)
            except Exception:  # the next one may be comparable
                log.exception("a request could not be ranked again")
            self._stopped.wait((thread_time() - started) * self._pause)

    def _compare(self, control: Model, request: RankRequest, listed: Listed) -> None:
        control_s = _timed(control, request)[1]
        add = self._counter.add_shadow
        try:
            found, canary_s = _timed(self._model, request)
        except Exception:
            if not self._has_told:
                self._has_told = True
                log.exception("the model on trial fails")
            add(counted.SHADOW_FAILED, 1)
        else:
            self._add_times(control_s, canary_s)
            self._add_lists(control, listed, found)
        add(counted.SHADOW_REQUESTS, 1)

    def _add_times(self, control_s: float, canary_s: float) -> None:
        add, slower_s = self._counter.add_shadow, canary_s - control_s
        add(counted.CONTROL_S, control_s)
        add(counted.CANARY_S, canary_s)
        add(counted.SLOWER_S, slower_s)
        add(counted.SLOWER_SQUARES, slower_s**2)

    def _add_lists(self, control: Model, listed: Listed, found: Listed | None) -> None:
        add = self._counter.add_shadow
        usual = {control.item_id(row) for row in listed.rows}
        fresh = set() if found is None else {self._model.item_id(row) for row in found.rows}
        if len(fresh) < len(usual):
            add(counted.SHADOW_EMPTY, 1)
        overlap = len(usual & fresh) / max(len(usual), 1)
        add(counted.OVERLAP, overlap)
        add(counted.OVERLAP_SQUARES, overlap**2)
        self._add_scores(listed.scores, counted.CONTROL_SCORES)
        self._add_scores([] if found is None else found.scores, counted.CANARY_SCORES)

    def _add_scores(self, scores: list[float], first: int) -> None:
        """Add to a sum of scores, and to their squares and number, which come behind it."""
        sums = (sum(scores), sum(each**2 for each in scores), len(scores))
        for place, value in enumerate(sums, first):
            self._counter.add_shadow(place, value)


def _timed(model: Model, request: RankRequest) -> tuple[Listed | None, float]:
    """Return what a model ranks for a request, and the processor time that it took, in seconds."""
    started = thread_time()
    (ranking,) = model.rank(model.batch([request]))
    return ranking.listed, thread_time() - started
