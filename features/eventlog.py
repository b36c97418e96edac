"""Every shopper's events as one array: what training and the offline features read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from features.events import CODE_MASK, RECORD, TYPE_CODES, Records, type_codes
from features.history import HISTORY_CAP, HISTORY_TYPES, RECENT_CAP, RECENT_TYPES
from features.turns import Turns, with_turns

NO_RECORDS: Records = np.empty(0, RECORD)
"""No events."""

_HISTORY = np.zeros(16, bool)
_HISTORY[[TYPE_CODES[kind] for kind in HISTORY_TYPES]] = True
_RECENT = np.zeros(16, bool)
_RECENT[[TYPE_CODES[kind] for kind in RECENT_TYPES]] = True


@dataclass(frozen=True, slots=True)
class EventLog:
    """Events sorted by (shopper, time): shopper i's are `records[offsets[i]:offsets[i + 1]]`.

    `profiles` holds what is known of a shopper beside the events, by user id, `turns` uint16 those
    of the events: see `features.turns`.
    """

    user_ids: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    records: Records
    profiles: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    turns: Turns | None = None

    def of(self, user: int) -> Records:
        """Return the events of shopper number `user`, oldest first."""
        return self.records[self.offsets[user] : self.offsets[user + 1]]

    def held(self, user: int) -> Records:
        """Return the events of shopper number `user` as rings hold them."""
        theirs = self.of(user)
        if self.turns is None:
            return theirs
        return with_turns(theirs, self.turns[self.offsets[user] : self.offsets[user + 1]])


def rings(records: Records) -> tuple[Records, Records]:
    """Return the (recent, history) rings that these time-sorted events leave online."""
    if len(records) == 1:  # as most posts have of a shopper: an eighth of the time
        code = int(records["tag"][0]) & CODE_MASK
        return records if _RECENT[code] else NO_RECORDS, records if _HISTORY[code] else NO_RECORDS
    codes = type_codes(records)
    return records[_RECENT[codes]][-RECENT_CAP:], records[_HISTORY[codes]][-HISTORY_CAP:]
