"""Forgetting shoppers in every place of a home, one after the other; as often as one likes.

    list of the forgotten ─ quarantine ─ tables ─ datasets ─ served features

The list comes first: whoever writes rows of theirs from then on leaves them out, so that what
follows finds all there will ever be. What is being released from quarantine comes into the
tables, so that these come after it; datasets are made of these.
"""

from collections.abc import Mapping

from features import dataset_erasure, served
from features.dataset import DATASETS
from features.forgotten import ForgottenList
from features.offline import OfflineStore
from features.quality.quarantine import Quarantine


class Erasure:
    """Forgets in the home of `offline`; raises `StoreError` where that cannot be done now."""

    def __init__(self, offline: OfflineStore) -> None:
        """Forget nobody yet."""
        self._offline = offline
        self._forgotten = ForgottenList(offline.home)
        self._quarantine = Quarantine(offline.home)

    def forget(self, until_ms: Mapping[str, int]) -> None:
        """Forget shoppers up to a stamp each."""
        noted_ms = self._forgotten.add(until_ms)
        self._quarantine.forget(until_ms)
        self._offline.forget(until_ms)
        dataset_erasure.forget(self._offline.home / DATASETS, noted_ms)
        served.forget(self._offline.home, until_ms)
