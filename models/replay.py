"""The past asked again: requests as they would have come at a split's cut, and their answers."""

from collections.abc import Iterator

import numpy as np

from features.computation.point_in_time import known_at
from features.eventlog import NO_RECORDS
from features.ids import Hashes
from models.metrics import K
from models.model import Model
from models.parts import Rows
from models.request import Filters, Listed, Ranking, RankRequest
from models.split import Split

ANY = Filters(in_stock=False)
"""What was in stock in the past is not known: all items are open."""

_BATCH = 256


def requests_of(split: Split) -> Iterator[list[RankRequest]]:
    """Yield the requests of all shoppers of a split, in batches and in order.

    Each shows the events that the online store held just before the cut.
    """
    users, asked = split.users.tolist(), split.moments()
    for start in range(0, len(users), _BATCH):
        batch, moments = users[start : start + _BATCH], asked[start : start + _BATCH]
        states = known_at(split.past, batch, moments)
        yield [
            RankRequest(
                split.past.user_ids[user],
                states.of(pair),
                NO_RECORDS,
                moment,
                K,
                ANY,
                split.closed,
            )
            for pair, (user, moment) in enumerate(zip(batch, moments, strict=True))
        ]


def ranked_lists(model: Model, split: Split) -> list[Rows]:
    """Return the rows of the items the model would have shown each shopper, best first.

    Who cannot be ranked for is shown what their segment buys. Raises what ranking raised.
    """
    return [
        np.array((each.listed or _popular(model, each, split.closed)).rows, np.int64)
        for batch in requests_of(split)
        for each in model.rank(model.batch(batch))
    ]


def popular_lists(model: Model, split: Split) -> list[Rows]:
    """Return the rows of what each shopper's segment buys, best first."""
    return [
        np.array(_popular(model, each, split.closed).rows, np.int64)
        for batch in requests_of(split)
        for each in model.shoppers(model.batch(batch))
    ]


def segments_of(model: Model, split: Split) -> list[str]:
    """Return the name of the segment that each shopper of a split is in."""
    return [
        model.segment_names[each.segment]
        for batch in requests_of(split)
        for each in model.shoppers(model.batch(batch))
    ]


def _popular(model: Model, shopper: Ranking, closed: Hashes) -> Listed:
    blocked = np.concatenate((shopper.blocked, closed)) if len(closed) else shopper.blocked
    return model.popular(shopper.segment, blocked, ANY, K)
