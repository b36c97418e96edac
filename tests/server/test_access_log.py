"""The access log: a share of requests, those that matter, and never too many lines."""

import json
import logging

import pytest

from monitoring.labels import Reason, Route, Source
from server.access_log import MOST_A_SECOND, AccessLog
from server.answer import Answer
from server.log_lines import JsonLines
from tests.support.service import Start

ANSWER = Answer(b"[]", Source.SEGMENT, "v1", "global", Reason.DEADLINE)


@pytest.fixture(autouse=True)
def _at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "server.access_log")


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged."""
    return [each for each in caplog.records if each.name == "server.access_log"]


def test_a_line_says_what_was_answered(caplog: pytest.LogCaptureFixture) -> None:
    """Route, status, rung, reason, time and id: as text, and as fields of a JSON line."""
    AccessLog(1.0).note(Route.RECOMMENDATIONS, 200, 0.0123, "abc", ANSWER)
    (record,) = lines(caplog)
    assert record.getMessage() == "recommendations 200 in 12.3 ms"
    told = json.loads(JsonLines().format(record))
    assert {name: told[name] for name in ("route", "status", "ms", "request_id")} == {
        "route": "recommendations",
        "status": 200,
        "ms": 12.3,
        "request_id": "abc",
    }
    assert (told["source"], told["reason"]) == ("segment", "deadline")


def test_a_share_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """About a tenth of them; none of them where the share is 0."""
    seconds = iter(range(10**6))
    some, none = (AccessLog(share, clock=lambda: next(seconds)) for share in (0.1, 0.0))
    for _ in range(2_000):
        some.note(Route.POPULAR, 200, 0.001, "x", None)
    assert 100 < len(lines(caplog)) < 320
    caplog.clear()
    for _ in range(2_000):
        none.note(Route.POPULAR, 200, 0.001, "x", None)
    assert lines(caplog) == []


def test_the_failed_and_the_slow_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the share; a client's mistake is neither."""
    log = AccessLog(0.0)
    log.note(Route.EVENTS, 503, 0.001, "failed", None)
    log.note(Route.POPULAR, 200, 0.2001, "slow", None)
    log.note(Route.POPULAR, 422, 0.001, "mistaken", None)
    assert [each.__dict__["fields"]["request_id"] for each in lines(caplog)] == ["failed", "slow"]


def test_lines_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """So many a second, and the next second begins anew."""
    now = 7.5
    log = AccessLog(1.0, clock=lambda: now)
    for _ in range(3 * MOST_A_SECOND):
        log.note(Route.POPULAR, 200, 0.001, "x", None)
    assert len(lines(caplog)) == MOST_A_SECOND
    now = 8.1
    log.note(Route.POPULAR, 200, 0.001, "x", None)
    assert len(lines(caplog)) == MOST_A_SECOND + 1


def test_what_went_well_takes_no_line_from_what_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Each has a bound of its own."""
    log = AccessLog(1.0, clock=lambda: 7.5)
    for _ in range(2 * MOST_A_SECOND):
        log.note(Route.POPULAR, 200, 0.001, "well", None)
    for _ in range(2 * MOST_A_SECOND):
        log.note(Route.EVENTS, 503, 0.001, "failed", None)
    told = [each.__dict__["fields"]["request_id"] for each in lines(caplog)]
    assert told == ["well"] * MOST_A_SECOND + ["failed"] * MOST_A_SECOND


async def test_the_service_logs(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """As many as the setting says, with the id that the client was told."""
    service = await start(CUVEE_ACCESS_LOG_SHARE="1")
    caplog.clear()
    answer = await service.get("/v1/popular")
    (record,) = lines(caplog)
    assert record.__dict__["fields"]["request_id"] == answer.headers["X-Request-Id"]
