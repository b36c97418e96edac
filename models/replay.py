"""The past asked again: requests as they would have come at a window's cut, and their answers."""

from collections.abc import Callable, Iterator

import numpy as np

from features.history import blocked_items
from features.point_in_time import known_at
from models.metrics import K
from models.model import Model
from models.parts import Rows
from models.request import Filters, RankedItem, RankRequest
from models.window import Window, moment_at

ANY = Filters(in_stock=False)
"""What was in stock in the past is not known: all items are open."""

_BATCH = 256


def requests_of(model: Model, window: Window) -> Iterator[list[RankRequest]]:
    """Yield the requests of all shoppers of a window, in batches and in order.

    Each shows the events that the online store held just before the cut.
    """
    users = window.users.tolist()
    for start in range(0, len(users), _BATCH):
        batch = users[start : start + _BATCH]
        states = known_at(
            window.past, batch, [moment_at(window.past, user, window.cut_ms) for user in batch]
        )
        requests = []
        for pair, moment in enumerate(states.moments):
            records = states.of(pair)
            segment = model.segment_of(records)
            requests.append(RankRequest(records, moment, blocked_items(records), K, segment, ANY))
        yield requests


def ranked_lists(model: Model, window: Window) -> list[Rows]:
    """Return the rows of the items the model would have shown each shopper, best first.

    Who cannot be ranked for is shown what their segment buys. Raises what ranking raised.
    """
    return _lists(model, window, _ranked)


def popular_lists(model: Model, window: Window) -> list[Rows]:
    """Return the rows of what each shopper's segment buys, best first."""
    return _lists(model, window, lambda model, batch: [_popular(model, each) for each in batch])


def _lists(
    model: Model,
    window: Window,
    answer: Callable[[Model, list[RankRequest]], list[list[RankedItem]]],
) -> list[Rows]:
    return [
        np.array([model.index_of(item.item_id) for item in items], np.int64)
        for batch in requests_of(model, window)
        for items in answer(model, batch)
    ]


def _ranked(model: Model, batch: list[RankRequest]) -> list[list[RankedItem]]:
    answers = []
    for request, answer in zip(batch, model.rank(batch), strict=True):
        if isinstance(answer, Exception):
            raise answer
        answers.append(_popular(model, request) if answer is None else answer)
    return answers


def _popular(model: Model, request: RankRequest) -> list[RankedItem]:
    return model.popular(request.segment, request.blocked, request.filters, request.k)
