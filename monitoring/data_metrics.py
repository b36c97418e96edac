"""What lists are made of: features that are missing or differ, data that wait, events to come."""

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram

from monitoring.tallies import Observations

MISSING_BUCKETS: Final = (0, 1, 2, 4, 8, 16, 32, 64)


class DataMetrics:
    """The metrics of data."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them with `registry`."""
        self._missing = Observations(
            Histogram(
                "cuvee_missing_features",
                "Features of a shopper that had their default when a model ranked.",
                buckets=MISSING_BUCKETS,
                registry=registry,
            )
        )
        self._skew = _Levels(
            "cuvee_feature_skew_ratio",
            "Share of served values of a feature that differ from what the tables say.",
            "feature",
            registry,
        )
        self._held = _Levels(
            "cuvee_data_held",
            "Batches, or versions of the tables, that broke rules of data quality and wait.",
            "gate",
            registry,
        )
        self._behind = _Levels(
            "cuvee_events_behind",
            "Events in the stream that a group of consumers has yet to finish.",
            "group",
            registry,
        )
        self._dead_letters = Gauge(
            "cuvee_dead_letters",
            "Entries of the stream that no consumer could use, and that are kept.",
            multiprocess_mode="livemax",
            registry=registry,
        )

    def missing_features(self, counts: Sequence[int]) -> None:
        """Record how many features of each ranked shopper were not known."""
        self._missing.values += counts

    def feature_skew(self, ratios: Mapping[str, float]) -> None:
        """Set how often each feature differs from what the tables say."""
        self._skew.set_all(ratios)

    def data_held(self, counts: Mapping[str, int]) -> None:
        """Set how much data each gate holds back."""
        self._held.set_all(counts)

    def events_behind(self, counts: Mapping[str, int]) -> None:
        """Set how many events each group of consumers has yet to finish."""
        self._behind.set_all(counts)

    def dead_letters(self, count: int) -> None:
        """Set how many entries of the stream no consumer could use."""
        self._dead_letters.set(count)

    def enter(self) -> None:
        """Tell Prometheus what was noted since the last time."""
        self._missing.enter()


class _Levels:
    """A gauge by label, of which all labels are told at once."""

    def __init__(self, name: str, says: str, label: str, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(name, says, (label,), multiprocess_mode="livemax", registry=registry)
        self._known: set[str] = set()

    def set_all(self, values: Mapping[str, float]) -> None:
        """Set each label's value, and 0 where there is none any more.

        A child that is removed goes on being told by the files that several workers share.
        """
        self._known.update(values)
        for label in self._known:
            self._gauge.labels(label).set(values.get(label, 0))
