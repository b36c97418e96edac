"""What can go wrong in this room.

`InputError` is the user's to mend and never shows a traceback; `StoreError` is the
store's, and the serving path answers it from the ladder.
"""

from typing import ClassVar


class FeaturesError(Exception):
    """Base of every error this room raises on purpose."""

    exit_code: ClassVar[int] = 2
    """What a command ends with that raised it."""


class InputError(FeaturesError):
    """Input that cannot be used; the message names the field, the value and what was expected."""


class FieldError(InputError):
    """One bad field of one record."""

    def __init__(self, field: str, message: str) -> None:
        """Keep `field` (dotted path, e.g. `events[3].timestamp`) apart from the `message`."""
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class StoreError(FeaturesError):
    """The online store did not answer, or answered what cannot be believed."""


class EngineError(FeaturesError):
    """What computes features elsewhere did not start, or failed; the message is one line."""


class StoreTimeoutError(StoreError):
    """The online store answered too late."""


class StoreFullError(StoreError):
    """The online store refuses writes: memory or disk is exhausted."""
