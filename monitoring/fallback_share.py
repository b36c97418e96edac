"""A share of shoppers that gets popular items for a while, whatever the model would show.

CUVEE_HOME/response/fallback.json      replaced in one step; the service reads it every second

Who is in a share is in every larger one, the same on every machine, and not the same as in a
trial of a model. It ends by itself: whoever set it may be dead by then.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from features.ids import stable_hash
from models.directory import replace_file

FILE = Path("response") / "fallback.json"
"""Below CUVEE_HOME."""

LONGEST_S = 86_400.0
"""So long does a share last at most, whatever the file says."""

_HASHES = 1 << 64


@dataclass(frozen=True, slots=True)
class FallbackShare:
    """`share` of the shoppers, 0 to 1, from `since_s` to `until_s` (seconds since 1970)."""

    share: float
    since_s: float
    until_s: float
    why: str

    def at(self, now_s: float) -> float:
        """Return the share that holds now: none before it began, or where that is long ago."""
        is_on = self.since_s <= now_s + 1 and now_s < min(self.until_s, self.since_s + LONGEST_S)
        return self.share if is_on else 0.0


def end_of(share: float) -> int:
    """Return the hash below which shoppers are in a share."""
    return round(share * _HASHES)


def place_of(user_id: str) -> int:
    """Return a shopper's place, evenly from 0 to 2**64."""
    return stable_hash(f"fallback {user_id}")


def write_share(home: Path, share: FallbackShare) -> None:
    """Let a share hold; raise `OSError`."""
    path = home / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, orjson.dumps(asdict(share), option=orjson.OPT_APPEND_NEWLINE))


def read_share(home: Path) -> FallbackShare | None:
    """Return what was set last, None where nothing was, or nothing that can be believed."""
    try:
        told = FallbackShare(**orjson.loads((home / FILE).read_bytes()))
        numbers = (told.share, told.since_s, told.until_s)
        is_one = all(math.isfinite(each) for each in numbers) and 0 <= told.share <= 1
    except (OSError, ValueError, TypeError):
        return None
    return told if is_one else None


def share_now(home: Path, now_s: float) -> float:
    """Return the share that holds now."""
    told = read_share(home)
    return 0.0 if told is None else told.at(now_s)
