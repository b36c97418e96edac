"""Forgetting shoppers in every place of a home, one after the other; as often as one likes.

    list of the forgotten ─ quarantine ─ tables ─ datasets ─ served features
        ─ served lists not in their table yet ─ unfinished training
        ─ copies of killed load tests ─ merges

The list comes first: whoever writes rows of theirs from then on leaves them out, so that what
follows finds all there will ever be. What is being released from quarantine comes into the
tables, so that these come after it; datasets are made of these.

What serving stamped later than it is now, lists and features, goes as well: its clock was ahead,
and nobody knows that it was served since.

Who was merged into a shopper is forgotten with them, up to the merge: what was theirs by then. The
merges that tell so go last: whoever is killed before that finds them again.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from features.datasets import erasure
from features.datasets.dataset import DATASETS
from features.home import LOAD_TEST, TRAINING
from features.identity.forgotten import ForgottenList
from features.lists import spool
from features.offline.store import OfflineStore
from features.quality.quarantine import Quarantine
from features.scratch import sweep
from features.skew import served


class Erasure:
    """Forgets in the home of `offline`; raises `StoreError` where that cannot be done now."""

    def __init__(self, offline: OfflineStore, clock: Callable[[], float] = time.time) -> None:
        """Forget nobody yet."""
        self._offline = offline
        self._clock = clock
        self._forgotten = ForgottenList(offline.home)
        self._quarantine = Quarantine(offline.home)

    def forget(self, until_ms: Mapping[str, int]) -> set[str]:
        """Forget shoppers up to a stamp each; return them, and who was merged into them."""
        noted_ms = self._forgotten.add(until_ms)
        # After that: whoever notes a merge later finds the list.
        merged = self._offline.merges(until_ms).sources(until_ms)
        latest_ms = max(noted_ms.values(), default=0)
        for rank in range(max(map(len, merged.values()), default=0)):
            these = {each: told[~rank] for each, told in merged.items() if told[rank:]}
            latest_ms = max(latest_ms, *self._forgotten.add(these).values())
        noted_ms |= dict.fromkeys(merged, latest_ms)
        whose = {each: max(told[-1], until_ms.get(each, 0)) for each, told in merged.items()}
        whose = dict(until_ms) | whose
        self._quarantine.forget(whose)
        now_ms = int(self._clock() * 1_000)
        self._offline.forget(until_ms, now_ms)
        erasure.forget(self._offline.home / DATASETS, noted_ms)
        served.forget(self._offline.home, whose, now_ms)
        spool.forget(self._offline.home, whose, now_ms)
        self._forget_unfinished()
        sweep(self._offline.home, LOAD_TEST)
        self._offline.forget_merges(until_ms)
        return set(whose)

    def _forget_unfinished(self) -> None:
        """Remove what a training made so far; one that goes on makes it anew."""
        for unfinished in (self._offline.home / TRAINING).glob("[!.]*"):
            leaving = unfinished.with_name(f".{unfinished.name}.{os.getpid()}")
            with suppress(FileNotFoundError):  # that training has just ended
                shutil.rmtree(unfinished.rename(leaving), ignore_errors=True)
