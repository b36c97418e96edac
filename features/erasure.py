"""Forgetting shoppers in every place of a home, one after the other; as often as one likes.

    list of the forgotten ─ quarantine ─ tables ─ datasets ─ served features ─ merges

The list comes first: whoever writes rows of theirs from then on leaves them out, so that what
follows finds all there will ever be. What is being released from quarantine comes into the
tables, so that these come after it; datasets are made of these.

Who was merged into a shopper is forgotten with them, up to the merge: what was theirs by then. The
merges that tell so go last: whoever is killed before that finds them again.
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

    def forget(self, until_ms: Mapping[str, int]) -> set[str]:
        """Forget shoppers up to a stamp each; return them, and who was merged into them."""
        noted_ms = self._forgotten.add(until_ms)
        merged = self._merged(until_ms)  # after that: whoever notes a merge later finds the list
        latest_ms = max(noted_ms.values(), default=0)
        for rank in range(max(map(len, merged.values()), default=0)):
            these = {each: told[rank] for each, told in merged.items() if told[rank:]}
            latest_ms = max(latest_ms, *self._forgotten.add(these).values())
        noted_ms = dict.fromkeys(merged, latest_ms) | noted_ms
        whose = {user_id: told[0] for user_id, told in merged.items()} | dict(until_ms)
        for user_id in whose:
            self._quarantine.forget(user_id)
        for user_id, stamp in until_ms.items():
            self._offline.forget(user_id, stamp)
        dataset_erasure.forget(self._offline.home / DATASETS, noted_ms)
        served.forget(self._offline.home, whose)
        for user_id, stamp in until_ms.items():
            self._offline.forget_merges(user_id, stamp)
        return set(whose)

    def _merged(self, until_ms: Mapping[str, int]) -> dict[str, list[int]]:
        """Return who was merged into shoppers by the stamp of each, and when, latest first."""
        merges, told = self._offline.merges(), dict[str, set[int]]()
        for user_id, stamp in until_ms.items():
            for source, moments in merges.sources(user_id, stamp).items():
                told.setdefault(source, set()).update(moments)
        return {source: sorted(moments, reverse=True) for source, moments in told.items()}
