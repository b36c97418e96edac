"""Records on their way into the rings of a shopper, and on into another's after a merge."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from features.events import Records
from features.turns import stamps


class Carried(NamedTuple):
    """Records on their way into the rings of a shopper, with their turns.

    They became the shopper's at `since_ms`, where that was not when each of them arrived.
    """

    user_id: str
    records: Records
    since_ms: int | None = None


def onwards(
    some: Sequence[Carried],
    merged: Mapping[str, Sequence[tuple[int, str]]],
    forgotten_ms: Mapping[str, int],
) -> list[Carried]:
    """Return what belongs to somebody else, into whom the shopper was `merged` later.

    That is when and into whom, earliest first. What was forgotten before that belongs to nobody.
    """
    told = (_led(each, merged.get(each.user_id, ()), forgotten_ms) for each in some)
    return [each for led in told for each in led if len(each.records)]


def up_to(stamp_ms: int, records: Records) -> Records:
    """Return those records that arrived up to a stamp."""
    return records[stamps(records) <= stamp_ms]


def _led(
    one: Carried, merged: Sequence[tuple[int, str]], forgotten_ms: Mapping[str, int]
) -> Iterator[Carried]:
    user_id, records, since_ms = one
    gone = forgotten_ms.get(user_id, -1)
    for stamp, into in merged:
        if since_ms is None:
            if gone < stamp:
                records = records[stamps(records) > gone]
            yield Carried(into, up_to(stamp, records), stamp)
            records = records[stamps(records) > stamp]
        elif since_ms <= gone < stamp:
            return
        elif since_ms < stamp:
            yield Carried(into, records, stamp)
            return
