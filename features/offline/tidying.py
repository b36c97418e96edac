"""When the tables are tidied: after so many commits, and once a day in any case.

The day is counted by a file beside them: whichever process tidied, and however short each lives.
"""

import os
import time
from collections.abc import Callable

from features.errors import StoreError
from features.offline.store import OfflineStore

TIDY_EVERY = 500
"""Commits after which small files are merged."""

TIDY_AFTER_S = 86_400.0
"""Seconds after which they are in any case, and what is forgotten goes from earlier versions."""

TIDIED = ".tidied"
"""A file beside the tables that was touched when they were."""


class Tidying:
    """Tidies the tables of `offline` for one who commits; raises `StoreError` where it cannot."""

    def __init__(self, offline: OfflineStore, clock: Callable[[], float] = time.time) -> None:
        """Tidy nothing yet."""
        self._offline = offline
        self._clock = clock
        self._path = offline.home / "offline" / TIDIED
        self._commits = 0

    def committed(self) -> None:
        """Count a commit."""
        self._commits += 1

    def tidy_if_due(self) -> None:
        """Tidy if it is time."""
        if self._commits >= TIDY_EVERY or self._is_a_day_ago():
            self._commits = 0
            self._offline.tidy()
            self._touch()

    def _is_a_day_ago(self) -> bool:
        """Tell whether nobody tidied for `TIDY_AFTER_S`, from now on where nobody ever did.

        A clock that was set back by more counts too.
        """
        try:
            return abs(self._clock() - self._path.stat().st_mtime) >= TIDY_AFTER_S
        except FileNotFoundError:
            self._touch()
            return False
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error

    def _touch(self) -> None:
        now = self._clock()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
            os.utime(self._path, (now, now))
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error
