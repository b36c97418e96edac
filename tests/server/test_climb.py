"""What fails on the way of a request, and is answered all the same, once."""

import asyncio
from typing import Any

import pytest

from features.online.store import NullStore
from models.model import Model
from monitoring.labels import Reason
from monitoring.metrics import Metrics
from server import keys
from server.admission import ConcurrencyLimiter
from server.ladder import Ladder
from server.pages import Pages
from tests.support.service import Client, Start, ask, event, ids, send

BESIDE = [
    (Ladder, "true_answer"),
    (Ladder, "request"),
    (Ladder, "remember"),
    (Ladder, "cache"),
    (Pages, "written"),
]
"""What is done for a personal list beside reading and ranking."""


def broken(*_: object, **__: object) -> Any:
    """Fail as nobody foresaw."""
    raise RuntimeError("a fault of ours")


async def known_shopper(service: Client) -> str:
    """Let `u1` have clicked on one item and bought another; return what was bought."""
    clicked, bought, *_ = ids(await (await service.get("/v1/popular")).json())
    await send(service, event("u1", clicked), event("u1", bought, "purchase", value=1.0))
    return bought


@pytest.mark.parametrize(("owner", "part"), BESIDE)
async def test_a_step_that_fails_is_answered_from_the_ladder(
    service: Client, monkeypatch: pytest.MonkeyPatch, owner: type, part: str
) -> None:
    """Popular items, counted as an error of the model; the next list is personal again."""
    bought = await known_shopper(service)
    with monkeypatch.context() as patch:
        patch.setattr(owner, part, broken)
        answer = await ask(service, "u1", k=100)
    assert (answer["reason"], answer["degraded"]) == ("model_error", True)
    assert answer["source"] in {"segment", "global"}
    assert answer["items"]
    if part not in {"request", "remember"}:  # without these nothing is known of the shopper
        assert bought not in ids(answer)
    metrics = await (await service.get("/metrics")).text()
    assert 'cuvee_errors_total{kind="model"} 1.0' in metrics
    assert 'cuvee_fallback_total{reason="model_error"} 1.0' in metrics
    assert service.app[keys.LADDER].gate.inflight == 0
    assert (await ask(service, "u1"))["source"] in {"model", "cache"}


@pytest.mark.parametrize("part", ["rank", "batch"])
async def test_a_model_that_goes_on_failing_is_said_to_fail(
    service: Client, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Also while it is not asked any more."""
    await known_shopper(service)
    monkeypatch.setattr(Model, part, broken)
    answers = [await ask(service, "u1") for _ in range(6)]
    assert {answer["reason"] for answer in answers} == {"model_error"}


async def test_where_popular_items_fail_too_it_is_an_error(
    service: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing below them; whoever asks next is answered."""
    await known_shopper(service)
    with monkeypatch.context() as patch:
        patch.setattr(Ladder, "true_answer", broken)
        patch.setattr(Ladder, "popular", broken)
        answer = await service.post("/v1/recommendations", json={"user_id": "u1"})
    assert answer.status == 500
    assert service.app[keys.LADDER].gate.inflight == 0
    assert (await ask(service, "u1"))["source"] == "model"


@pytest.mark.parametrize(("owner", "part"), [(ConcurrencyLimiter, "leave"), (Metrics, "fallback")])
async def test_what_cannot_be_counted_is_answered(
    start: Start, monkeypatch: pytest.MonkeyPatch, owner: type, part: str
) -> None:
    """Nobody waits for ever for what was only not counted."""
    service = await start(NullStore())
    monkeypatch.setattr(owner, part, broken)
    async with asyncio.timeout(10):
        answer = await ask(service, "u1")
    assert answer["reason"] == Reason.UNKNOWN_USER
    monkeypatch.undo()
    metrics = await (await service.get("/metrics")).text()
    assert "\ncuvee_inflight_requests 1.0" in metrics  # this scrape


async def test_what_a_trial_cannot_count_is_answered(service: Client) -> None:
    """A trial watches answers, and is no part of them."""

    class Broken:
        count = broken

        def has(self, _: str) -> bool:
            return False

        def close(self) -> None:
            """End."""

    models = service.app[keys.MODELS]
    models.trial = Broken()  # type: ignore[assignment]
    async with asyncio.timeout(10):
        answer = await ask(service, "u1")
    models.trial = None
    assert answer["items"]
    metrics = await (await service.get("/metrics")).text()
    assert "\ncuvee_inflight_requests 1.0" in metrics  # this scrape
