"""Visitors who have not said who they are: lists by what they did in their session."""

from typing import Any

import pytest

from features.anonymous import LONGEST
from tests.support.service import ADMIN, Client, ask, event, ids, send

ITEM, OTHER = "wine-0003", "wine-0008"


def visit(session_id: str, item_id: str, kind: str = "click", **more: Any) -> dict[str, Any]:
    """Return an event of a session in which nobody has said who they are."""
    told = event("", item_id, kind, session_id=session_id, **more)
    del told["user_id"]
    return told


async def anonymously(service: Client, session_id: str, **fields: Any) -> dict[str, Any]:
    """Ask for a list without saying for whom."""
    body = {"session_id": session_id, **fields}
    answer = await service.post("/v1/recommendations", json=body)
    assert answer.status == 200, await answer.text()
    told: dict[str, Any] = await answer.json()
    return told


async def test_a_session_is_a_shopper(service: Client) -> None:
    """One click makes its list personal, what it bought is not shown, and it can be cached."""
    stranger = await anonymously(service, "s1")
    assert (stranger["source"], stranger["reason"]) == ("global", "unknown_user")
    await send(service, visit("s1", ITEM), visit("s1", OTHER, "purchase"))
    told = await anonymously(service, "s1")
    assert (told["source"], told["user_id"]) == ("model", "session:s1")
    assert OTHER not in ids(told)
    assert (await anonymously(service, "s2"))["reason"] == "unknown_user"
    again = await anonymously(service, "s1")
    assert (again["source"], ids(again)) == ("cache", ids(told))


async def test_a_stranger_is_known_by_their_session(service: Client) -> None:
    """Where nothing is known of who is named, what they did before they said so is."""
    await send(service, visit("s1", ITEM), visit("s1", OTHER, "purchase"))
    told = await ask(service, "newcomer", session_id="s1")
    assert (told["source"], told["user_id"]) == ("model", "newcomer")
    assert ids(told) == ids(await anonymously(service, "s1"))
    cached = await ask(service, "newcomer", session_id="s1")
    assert (cached["source"], ids(cached)) == ("cache", ids(told))
    await send(service, visit("s1", "wine-0009"))
    assert (await ask(service, "newcomer", session_id="s1"))["source"] == "model"
    assert (await ask(service, "newcomer"))["reason"] == "unknown_user"


async def test_who_is_known_is_ranked_by_what_is_their_own(service: Client) -> None:
    """A session beside them changes nothing: a shared device is none of theirs."""
    await send(service, event("ann", ITEM), visit("s1", OTHER, "purchase"))
    told = await ask(service, "ann", session_id="s1")
    assert told["source"] == "model"
    assert ids(told) == ids(await ask(service, "ann"))


async def test_a_session_is_shown_and_forgotten_as_a_shopper(service: Client) -> None:
    """The routes of shoppers take it by its id."""
    await send(service, visit("s1", ITEM))
    shown = await (await service.get("/v1/users/session:s1", headers=ADMIN)).json()
    assert [each["item_id"] for each in shown["events"]] == [ITEM]
    assert (await service.delete("/v1/users/session:s1", headers=ADMIN)).status == 204
    assert (await anonymously(service, "s1"))["reason"] == "unknown_user"


async def test_long_sessions(service: Client) -> None:
    """An id that is too long to stand for a shopper is refused there, and ignored elsewhere."""
    await send(service, visit("s" * LONGEST, ITEM))
    assert (await anonymously(service, "s" * LONGEST))["source"] == "model"
    long = "s" * (LONGEST + 1)
    assert (await ask(service, "ann", session_id=long))["reason"] == "unknown_user"
    for path, body in (
        ("/v1/recommendations", {"session_id": long}),
        ("/v1/events", {"events": [visit(long, ITEM)]}),
    ):
        answer = await service.post(path, json=body)
        assert answer.status == 422
        (error,) = (await answer.json(content_type=None))["errors"]
        assert error["field"].endswith("session_id")
        assert error["message"] == "expected at most 120 characters without a user_id, got 121"


@pytest.mark.parametrize("body", [{}, {"session_id": None}, {"user_id": "", "session_id": "s"}])
async def test_somebody_must_be_named(service: Client, body: dict[str, Any]) -> None:
    """Neither a shopper nor a session, or a shopper without a name, is a mistake."""
    answer = await service.post("/v1/recommendations", json=body)
    assert answer.status == 422
    assert (await answer.json(content_type=None))["errors"][0]["field"] == "user_id"
