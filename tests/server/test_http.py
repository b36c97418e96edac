"""What HTTP promises on every route: problem documents, request ids, limits, methods."""

import asyncio
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.support.service import ADMIN, Client, Start, ask, event, send

LISTS = "/v1/recommendations"


async def problem(answer: ClientResponse, status: int) -> dict[str, Any]:
    """See a problem document with `status` and return it."""
    assert answer.status == status, await answer.text()
    assert answer.content_type == "application/problem+json"
    told: dict[str, Any] = await answer.json(content_type=None)
    assert told["status"] == status
    assert told["request_id"] == answer.headers["X-Request-Id"]
    assert told["title"]
    return told


@pytest.mark.parametrize("raw", [b"", b"{", b"nonsense", b'{"user_id": NaN}', b"\xff"])
async def test_malformed_json_is_400(service: Client, raw: bytes) -> None:
    """What is no JSON is malformed."""
    await problem(await service.post(LISTS, data=raw, headers=JSON), 400)


JSON = {"Content-Type": "application/json"}


async def test_an_invalid_field_is_422_and_named(service: Client) -> None:
    """The field and what was expected are told."""
    told = await problem(await service.post(LISTS, json={"user_id": "u", "k": 1_000}), 422)
    assert [error["field"] for error in told["errors"]] == ["k"]
    assert "1 to 100" in told["errors"][0]["message"]


async def test_another_type_is_415(service: Client) -> None:
    """A form is no JSON, and says so."""
    told = await problem(await service.post(LISTS, data={"user_id": "u"}), 415)
    assert "application/json" in told["detail"]


async def test_a_type_need_not_be_told(service: Client) -> None:
    """A body without a type is taken for JSON."""
    answer = await service.post(
        LISTS, data=b'{"user_id": "u"}', skip_auto_headers=("Content-Type",)
    )
    assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "size"), [(LISTS, 65_537), (LISTS, 1_000_000), ("/v1/events", 1_048_577)]
)
async def test_too_large_a_body_is_413(service: Client, path: str, size: int) -> None:
    """64 KiB is the limit, 1 MiB for events."""
    await problem(await service.post(path, data=BytesIO(b" " * size), headers=JSON), 413)


async def test_a_body_of_unannounced_size_is_bounded(service: Client) -> None:
    """A chunked body ends at the same limit."""

    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 65_536

    await problem(await service.post(LISTS, data=chunks(), headers=JSON), 413)


async def test_a_body_that_does_not_come_is_408(
    service: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection ends, and it counts as being answered no more."""
    monkeypatch.setattr("server.body.WITHIN_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    async with asyncio.timeout(10):
        told = await reader.readuntil(b"within 0.05 s")
    writer.close()
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in told
    metrics = await (await service.get("/metrics")).text()
    assert "\ncuvee_inflight_requests 1.0\n" in metrics  # this scrape


async def test_a_body_that_is_not_encoded_as_it_says_is_400(service: Client) -> None:
    """A mistake of the client's is none of ours, neither in the answer nor in the figures."""
    headers = JSON | {"Content-Encoding": "gzip"}
    told = await problem(await service.post(LISTS, data=b"no gzip", headers=headers), 400)
    assert told["title"] == "Broken body"
    metrics = await (await service.get("/metrics")).text()
    assert 'cuvee_errors_total{kind="internal"} 0.0' in metrics


async def test_unknown_paths_and_methods(service: Client) -> None:
    """404 and 405 are problem documents too, and 405 names what is allowed."""
    await problem(await service.get("/v9/nothing"), 404)
    answer = await service.get(LISTS)
    await problem(answer, 405)
    assert answer.headers["Allow"] == "POST"


async def test_a_request_id_is_echoed(service: Client) -> None:
    """The client's id comes back, on success and on error."""
    headers = {"X-Request-Id": "page-42"}
    for body in ({"user_id": "u"}, {}):
        answer = await service.post(LISTS, json=body, headers=headers)
        assert answer.headers["X-Request-Id"] == "page-42"


@pytest.mark.parametrize("told", ["x" * 129, "ü", "a\tb"])
async def test_an_unfit_request_id_is_replaced(service: Client, told: str) -> None:
    """An id that could spoil a log is not taken."""
    answer = await service.get("/healthz", headers={"X-Request-Id": told})
    assert answer.headers["X-Request-Id"] != told
    assert len(answer.headers["X-Request-Id"]) == 32


async def test_an_error_inside_is_500_without_its_insides(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen error is a problem document that tells nothing but the request id."""

    def broken(_: object) -> None:
        raise AttributeError("an inside")

    service = await start()
    monkeypatch.setattr("server.admission.ConcurrencyLimiter.enter", broken)
    told = await problem(await service.post(LISTS, json={"user_id": "u"}), 500)
    assert "an inside" not in str(told)


async def test_an_answer_that_cannot_be_written_is_500(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is given back, once: the next request is answered."""
    from server import keys
    from server.handlers import recommendations

    def broken(*_: object) -> bytes:
        raise LookupError

    service = await start()
    gate = service.app[keys.LADDER].gate
    with monkeypatch.context() as patch:
        patch.setattr(recommendations, "encode_answer", broken)
        await problem(await service.post(LISTS, json={"user_id": "u"}), 500)
    assert gate.inflight == 0
    assert (await service.post(LISTS, json={"user_id": "u"})).status == 200


ADMIN_ROUTES = [
    ("GET", "/v1/users/u"),
    ("DELETE", "/v1/users/u"),
    ("GET", "/v1/models"),
    ("POST", "/v1/models/x/promote"),
    ("POST", "/v1/models/rollback"),
    ("GET", "/v1/realtime"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
async def test_admin_routes_want_the_token(start: Start, method: str, path: str) -> None:
    """401 without a token, 403 with a wrong one or where there is none to bear."""
    service = await start()
    answer = await service.request(method, path)
    await problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    wrong = {"Authorization": "Bearer wröng"}
    await problem(await service.request(method, path, headers=wrong), 403)
    closed = await start(CUVEE_ADMIN_TOKEN="")
    await problem(await closed.request(method, path, headers=ADMIN), 403)


async def test_health(service: Client) -> None:
    """Alive and ready, with the model that serves."""
    assert (await service.get("/healthz")).status == 200
    told = await (await service.get("/readyz")).json()
    assert told["ready"]
    assert told["model_version"]


async def test_a_draining_process_is_not_ready_but_answers(service: Client) -> None:
    """Readiness fails first; requests are still answered."""
    from server import keys

    service.app[keys.DRAIN].set()
    answer = await service.get("/readyz")
    assert (answer.status, (await answer.json())["draining"]) == (503, True)
    assert (await ask(service, "u"))["items"]


async def test_metrics_tell_what_happened(service: Client) -> None:
    """Requests, sources, reasons, cache and events are counted under closed labels."""
    await ask(service, "stranger")
    await send(service, event("u1", "x"))
    await service.get("/no/such/path/" + "x" * 50)
    text = await (await service.get("/metrics")).text()
    for line in (
        'cuvee_requests_total{route="recommendations",status="200"} 1.0',
        'cuvee_fallback_total{reason="unknown_user"} 1.0',
        'cuvee_requests_total{route="unmatched",status="404"} 1.0',
        'cuvee_events_total{result="accepted"} 1.0',
        'cuvee_cache_total{result="miss"} 1.0',
        "cuvee_model_info{version=",
    ):
        assert line in text, line
    assert "no/such/path" not in text


async def test_the_last_minute(service: Client) -> None:
    """The window counts lists, and lists from below the model."""
    await ask(service, "stranger")
    told = await (await service.get("/v1/realtime?seconds=60", headers=ADMIN)).json()
    assert told["request_count"] == 1
    assert told["fallback_rate"] == 1.0
    await problem(await service.get("/v1/realtime?seconds=61", headers=ADMIN), 422)
    await problem(await service.get("/v1/realtime?second=9", headers=ADMIN), 422)
