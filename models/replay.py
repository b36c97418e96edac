"""The past asked again: requests as they would have come at a split's cut, and their answers."""

from collections.abc import Iterator
from itertools import repeat

import numpy as np

from features.computation.point_in_time import known_at
from features.eventlog import NO_RECORDS
from features.ids import stable_hash
from models.batch import Batch
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
        np.array((each.listed or _popular(model, each, request)).rows, np.int64)
        for batch in _batches(model, split)
        for request, each in zip(batch.requests, model.rank(batch), strict=True)
    ]


def popular_lists(model: Model, split: Split) -> list[Rows]:
    """Return the rows of what each shopper's segment buys, best first."""
    return [
        np.array(_popular(model, each, request).rows, np.int64)
        for batch in _batches(model, split)
        for request, each in zip(batch.requests, model.shoppers(batch), strict=True)
    ]


def segments_of(model: Model, split: Split) -> list[str]:
    """Return the name of the segment that each shopper of a split is in."""
    return [
        model.segment_names[each.segment]
        for batch in _batches(model, split)
        for each in model.shoppers(batch)
    ]


def _batches(model: Model, split: Split) -> Iterator[Batch]:
    """Yield what `model` is asked, in order."""
    looked = repeat(None) if split.pages is None else iter(split.pages.tolist())
    for requests in requests_of(split):
        asked = zip(requests, looked, strict=False)
        yield model.batch([_on_page(model, item, request) for request, item in asked])


def _on_page(model: Model, item: int | None, request: RankRequest) -> RankRequest:
    """Return the request of a stranger on the page of an item (row), as the ladder answers it."""
    if item is None:
        return request
    item_id = model.item_id(item)
    segment = model.segment_looked_at(model.shared_segment(request.user_id, None), item_id)
    excluded = np.append(request.excluded, np.uint64(stable_hash(item_id)))
    return request._replace(segment=segment, excluded=excluded)


def _popular(model: Model, shopper: Ranking, request: RankRequest) -> Listed:
    gone = request.excluded
    blocked = np.concatenate((shopper.blocked, gone)) if len(gone) else shopper.blocked
    return model.popular(shopper.segment, blocked, ANY, K)
