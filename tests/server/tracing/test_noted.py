"""What is noted, and what is not: stages that there were, of requests that still wait."""

import asyncio
from time import monotonic

import pytest
from prometheus_client import CollectorRegistry

from features.eventlog import NO_RECORDS
from features.moments import Moment
from features.online.store import NullStore, ShopperQuery, ShopperRead
from models.batch import Batch
from models.model import Model
from models.request import Ranking, RankRequest
from monitoring.labels import Reason, Stage
from monitoring.metrics import Metrics
from server.breaker import Breaker
from server.tracing.noted import NotedInference, NotedReader
from server.tracing.notes import Note, Notes, notes_now, noting
from tests.support.bundles import small_parts

ASKED = ShopperQuery("u1", "any")


def request() -> RankRequest:
    """Return a request of a stranger."""
    return RankRequest("u1", NO_RECORDS, NO_RECORDS, Moment(1_000), 3)


def no_one(_: Batch) -> None:
    """Hear of nothing."""


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_read_is_noted_where_the_store_is_asked(is_open: bool) -> None:
    """An open breaker asks nobody: there was no such stage."""
    breaker = Breaker(lambda: 0.0, threshold=1)
    if is_open:
        breaker.failed()
    reader = NotedReader(NullStore(), breaker, Metrics(CollectorRegistry()), budget_s=5.0)
    notes: Notes = []
    told: asyncio.Future[ShopperRead | Reason] = asyncio.get_running_loop().create_future()
    seen: list[Notes] = []

    def then(read: ShopperRead | Reason) -> None:
        seen.append(notes_now())
        told.set_result(read)

    with noting(notes):
        reader.read(ASKED, monotonic() + 5, then)
    await told
    await reader.close()
    assert seen[0] is notes
    assert [note.stage for note in notes] == ([] if is_open else [Stage.READ])


async def test_who_waits_no_more_is_told_nothing() -> None:
    """A run that was late has no notes of the answer that has left."""
    model = Model(small_parts())
    ranks = NotedInference(Breaker(monotonic), Metrics(CollectorRegistry()), no_one)
    late = request()
    notes: Notes = []
    told: asyncio.Future[Ranking | Exception] = asyncio.get_running_loop().create_future()
    with noting(notes):
        ranks.rank(model, late, monotonic() - 1, told.set_result)
    assert isinstance(await told, TimeoutError)
    await ranks.close()
    ranks.ran(model.batch([late]), 1.0, 2.0, 3.0)
    assert notes == []


def test_notes_of_nobody_go_nowhere() -> None:
    """What runs outside of any request is noted for none."""
    notes_now().append(Note(Stage.READ, 1.0, 2.0))
    assert notes_now() == []
