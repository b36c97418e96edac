"""What may be thought of a figure."""

from enum import StrEnum


class State(StrEnum):
    """What is thought of a figure."""

    FINE = "fine"
    WORSE = "worse"
    INSUFFICIENT = "insufficient"
    """Too few lists to find what is asked for."""

    NO_BASELINE = "no baseline"
    """A figure, and nothing to hold it against."""
