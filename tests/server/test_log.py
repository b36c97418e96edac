"""Logging never waits, never floods, and is readable by programs."""

import io
import logging
from queue import Queue

import orjson
import pytest
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.web import RequestPayloadError

from server.log import BoundedHandler, Log, Repeats, is_ours
from server.log_lines import JsonLines


def record(message: str, level: int = logging.WARNING, *args: object) -> logging.LogRecord:
    """Return a log record."""
    return logging.LogRecord("cuvee", level, "", 0, message, args, None)


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_repeated_warning_is_told_once_in_a_while() -> None:
    """One of many equal warnings is told, and the next says how many were left out."""
    clock = Clock()
    repeats = Repeats(clock)
    assert repeats.filter(record("store down: %s", logging.WARNING, 1))
    assert not any(repeats.filter(record("store down: %s", logging.WARNING, n)) for n in range(5))
    assert repeats.filter(record("something else"))
    clock.now = 10.0
    later = record("store down: %s", logging.WARNING, 9)
    assert repeats.filter(later)
    assert later.getMessage() == "store down: 9 (5 more since)"


def test_information_is_never_left_out() -> None:
    """Only warnings and worse repeat fast enough to flood."""
    repeats = Repeats(Clock())
    assert all(repeats.filter(record("served", logging.INFO)) for _ in range(3))


@pytest.mark.parametrize(
    ("error", "ours"),
    [(BadHttpMessage("no HTTP"), False), (RequestPayloadError(), False), (ValueError(), True)],
)
def test_what_clients_send_that_is_no_http_is_left_out(error: Exception, *, ours: bool) -> None:
    """A client's mistake fills nobody's log with tracebacks."""
    told = record("Error handling request", logging.ERROR)
    assert is_ours(told)
    told.exc_info = (type(error), error, None)
    assert is_ours(told) is ours


@pytest.mark.parametrize(("level", "ours"), [(logging.INFO, False), (logging.WARNING, True)])
def test_how_a_library_is_found_is_left_out(level: int, *, ours: bool) -> None:
    """What faiss tries before it loads says of a healthy start that something is missing."""
    told = record("Could not load library with AVX512 support", level)
    told.name = "faiss.loader"
    assert is_ours(told) is ours


def test_a_full_queue_drops_and_counts() -> None:
    """A stuck output costs records, not time."""
    handler = BoundedHandler(Queue(2))
    dropped = []
    handler.dropped = lambda: dropped.append(1)
    for number in range(5):
        handler.handle(record(f"message {number}"))
    assert (handler.queue.qsize(), len(dropped)) == (2, 3)


def test_lines_are_json() -> None:
    """Whatever a message holds, its line is one JSON object."""
    line = JsonLines().format(record('quote " newline \n ü %s', logging.ERROR, "x"))
    told = orjson.loads(line)
    assert "\n" not in line
    assert (told["level"], told["message"]) == ("ERROR", 'quote " newline \n ü x')


def test_an_exception_is_in_the_line() -> None:
    """The traceback is part of the record, not lines of its own."""
    failed = record("failed")
    with pytest.raises(ValueError, match="invalid") as raised:
        int("why")
    failed.exc_info = raised._excinfo
    assert "ValueError: invalid literal" in orjson.loads(JsonLines().format(failed))["error"]


def test_everything_queued_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping writes what is still queued."""
    output = io.StringIO()
    monkeypatch.setattr("sys.stderr", output)
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    log = Log("INFO")
    log.start()
    try:
        for number in range(100):
            logging.getLogger("cuvee.test").info("message %d", number)
    finally:
        log.stop()
        root.handlers[:], root.level = kept, level
    told = [orjson.loads(line)["message"] for line in output.getvalue().splitlines()]
    assert told == [f"message {number}" for number in range(100)]
