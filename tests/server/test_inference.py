"""Requests of a turn share a run of their model; what is wrong with one is its own."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic, thread_time

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from features.eventlog import NO_RECORDS
from features.events import RECORD, TYPE_CODES, EventType, Records
from features.ids import stable_hash
from features.moments import Moment
from models.batch import Batch
from models.errors import ModelsError
from models.model import Model
from models.parts import Parts
from models.request import Ranking, RankRequest
from monitoring.metrics import Metrics
from server import inference
from server.breaker import Breaker
from server.inference import Inference, ModelFailedError
from tests.support.asking import result_of
from tests.support.bundles import small_parts, whole_towers


def no_one(_: Batch) -> None:
    """Hear of nothing."""


def exact_parts(items: int = 30) -> Parts:
    """Return parts whose scores are the same to the bit, whoever else is ranked with."""
    return small_parts(items, towers=whole_towers(items))


def bought(row: int) -> Records:
    """Return a purchase of the item in a row."""
    records = np.zeros(1, RECORD)
    records["item"] = stable_hash(f"wine-{row:04d}")
    records["tag"] = TYPE_CODES[EventType.PURCHASE]
    return records


def asked(row: int, moment: Moment | None = None) -> RankRequest:
    """Return a request of a shopper who bought one item."""
    return RankRequest(f"u{row}", bought(row), NO_RECORDS, moment or Moment(1_000), 5)


async def told(model: Model, *requests: RankRequest) -> list[Ranking | BaseException]:
    """Return what becomes of requests of one turn."""
    ranks = Inference(Breaker(monotonic), Metrics(CollectorRegistry()), no_one)
    later = monotonic() + 30
    outcomes = await asyncio.gather(
        *(result_of(ranks.rank, model, each, later) for each in requests), return_exceptions=True
    )
    await ranks.close()
    return outcomes


@pytest.fixture(params=["inline", "thread"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Rank on the loop, and beside it."""
    if request.param == "inline":
        monkeypatch.setattr(inference, "TRIAL_RUNS", 0)
    return str(request.param)


async def test_a_run_is_shared(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of one turn are one batch, and each gets its own list."""
    model = Model(exact_parts())
    sizes: list[int] = []
    batch = model.batch

    def counted(requests: Sequence[RankRequest]) -> Batch:
        sizes.append(len(requests))
        return batch(requests)

    monkeypatch.setattr(model, "batch", counted)
    together = await told(model, *(asked(row) for row in range(6)))
    assert where
    assert sizes == [6]
    for row, ranking in enumerate(together):
        (alone,) = await told(model, asked(row))
        assert isinstance(ranking, Ranking)
        assert isinstance(alone, Ranking)
        assert (ranking.listed, ranking.segment) == (alone.listed, alone.segment)


async def test_one_request_that_is_wrong_spoils_no_other(where: str) -> None:
    """An exception stands in the place of the request that caused it, and only there."""
    parts = exact_parts()
    assert where
    assert parts.personal is not None
    inputs = parts.personal.inputs.copy()
    inputs[5] = np.inf
    model = Model(replace(parts, personal=replace(parts.personal, inputs=inputs)))
    outcomes = await told(model, asked(1), asked(5), asked(2), asked(5), asked(3))
    kinds = [type(each) for each in outcomes]
    assert kinds == [Ranking, ModelFailedError, Ranking, ModelFailedError, Ranking]
    assert isinstance(outcomes[1], ModelFailedError)
    assert isinstance(outcomes[1].__cause__, ModelsError)


async def test_a_model_that_fails_is_given_a_break(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After runs that failed for all it is not asked, and says why; a run is told of in a line."""
    monkeypatch.setattr(inference, "LATE_S", 30.0)
    model = Model(exact_parts())
    rank, runs, now = model.rank, 0, 0.0

    def broken(_: Batch) -> list[Ranking]:
        nonlocal runs
        runs += 1
        raise RuntimeError("no such tensor")

    registry = CollectorRegistry()
    breaker = Breaker(lambda: now, threshold=2, cooldown_s=0.5)
    ranks = Inference(breaker, Metrics(registry), no_one)
    later = monotonic() + 30

    async def asked_by_four() -> set[type[object]]:
        told = (result_of(ranks.rank, model, asked(row), later) for row in range(4))
        outcomes = await asyncio.gather(*told, return_exceptions=True)
        return {type(each) for each in outcomes}

    monkeypatch.setattr(model, "rank", broken)
    assert [await asked_by_four() for _ in range(5)] == [{ModelFailedError}] * 5
    assert runs == 2 * (1 + 4)
    assert [each.levelname for each in caplog.records] == ["ERROR"] * 2
    assert registry.get_sample_value("cuvee_errors_total", {"kind": "model"}) == 2
    now = 1.0
    monkeypatch.setattr(model, "rank", rank)
    assert await asked_by_four() == {Ranking, ModelFailedError}  # one tries for all
    assert await asked_by_four() == {Ranking}
    await ranks.close()
    assert where


async def test_a_run_that_fails_for_some_is_no_failed_one(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with one shopper costs no other the model."""
    monkeypatch.setattr(inference, "LATE_S", 30.0)
    parts = exact_parts()
    assert parts.personal is not None
    inputs = parts.personal.inputs.copy()
    inputs[5] = np.inf
    model = Model(replace(parts, personal=replace(parts.personal, inputs=inputs)))
    ranks = Inference(Breaker(monotonic, threshold=1), Metrics(CollectorRegistry()), no_one)
    later = monotonic() + 30
    for _ in range(3):
        told = (result_of(ranks.rank, model, asked(row), later) for row in (1, 5))
        outcomes = await asyncio.gather(*told, return_exceptions=True)
        assert [type(each) for each in outcomes] == [Ranking, ModelFailedError]
        with pytest.raises(ModelFailedError):
            await result_of(ranks.rank, model, asked(5), later)
    await ranks.close()
    assert where


async def test_two_models_at_once(where: str) -> None:
    """While models are swapped each request is ranked by its own."""
    one, two = Model(exact_parts()), Model(exact_parts(12))
    ranks = Inference(Breaker(monotonic), Metrics(CollectorRegistry()), no_one)
    later = monotonic() + 30
    pairs = [(one, asked(1)), (two, asked(2)), (one, asked(3)), (two, asked(4))]
    outcomes = await asyncio.gather(*(result_of(ranks.rank, *pair, later) for pair in pairs))
    await ranks.close()
    assert where
    for (model, request), ranking in zip(pairs, outcomes, strict=True):
        (alone,) = model.rank(model.batch([request]))
        assert ranking.listed == alone.listed


async def test_a_model_that_stalls_leaves_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new model runs beside the loop until it has shown to be quick, and again after a stall."""
    model = Model(exact_parts())
    threads: list[bool] = []
    busy_s = 0.0
    rank = model.rank

    def watched(batch: Batch) -> list[Ranking]:
        threads.append(threading.current_thread() is not threading.main_thread())
        last = thread_time() + busy_s
        while thread_time() < last:
            pass
        return rank(batch)

    monkeypatch.setattr(model, "rank", watched)
    monkeypatch.setattr(inference, "TRIAL_RUNS", 3)
    ranks = Inference(Breaker(monotonic), Metrics(CollectorRegistry()), no_one)
    for turn in range(10):
        busy_s = inference.STALL_S if turn == 5 else 0.0
        await result_of(ranks.rank, model, asked(1), monotonic() + 30)
    await ranks.close()
    assert threads == [True] * 3 + [False] * 3 + [True] * 3 + [False]


async def test_a_model_that_stalls_with_many_shows_with_many_that_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Quick runs of a few say nothing of those that stalled the loop."""
    model = Model(exact_parts())
    threads: list[bool] = []
    rank = model.rank
    stalls = True

    def watched(batch: Batch) -> list[Ranking]:
        threads.append(threading.current_thread() is not threading.main_thread())
        last = thread_time() + (inference.STALL_S if stalls and len(batch) > 1 else 0.0)
        while thread_time() < last:
            pass
        return rank(batch)

    monkeypatch.setattr(model, "rank", watched)
    monkeypatch.setattr(inference, "TRIAL_RUNS", 3)
    ranks = Inference(Breaker(monotonic), Metrics(CollectorRegistry()), no_one)

    async def run(count: int) -> None:
        told = (result_of(ranks.rank, model, asked(row), monotonic() + 30) for row in range(count))
        await asyncio.gather(*told)

    for count in (1, 1, 1, 2, 1, 1, 1, 1):
        await run(count)
    assert threads == [True] * 3 + [False] + [True] * 4
    stalls = False
    for count in (2, 2, 2, 1):
        await run(count)
    await ranks.close()
    assert threads[8:] == [True] * 3 + [False]


async def test_a_late_model_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After runs that were late requests learn so at once, until one that is tried is not."""
    model = Model(exact_parts())
    now = 0.0
    monkeypatch.setattr(inference, "LATE_S", 0.0)
    breaker = Breaker(lambda: now, threshold=2, cooldown_s=0.5)
    ranks = Inference(breaker, Metrics(CollectorRegistry()), no_one)
    for _ in range(2):
        await result_of(ranks.rank, model, asked(1), monotonic() + 30)
    with pytest.raises(TimeoutError):
        await result_of(ranks.rank, model, asked(1), monotonic() + 30)
    now = 1.0
    monkeypatch.setattr(inference, "LATE_S", 30.0)
    for _ in range(2):
        await result_of(ranks.rank, model, asked(1), monotonic() + 30)
    await ranks.close()
