"""Which requests are plain, wherever the network cuts them; all others are left to aiohttp."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.body import MAX_BODY
from server.plain_request import MAX_HEAD, Head, UnusualError, plain_head

BEGIN = b"POST /v1/recommendations HTTP/1.1\r\nHost: shop\r\n"
BODY = b'{"user_id":"u1"}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
PLAIN = BEGIN + LENGTH + b"\r\n" + BODY


@pytest.mark.parametrize(
    ("more", "request_id"),
    [
        (b"", None),
        (b"X-Request-Id: abc\r\n", "abc"),
        (b"x-request-id:abc\r\n", "abc"),
        (b"Content-Type: application/json\r\n", None),
        (b"Content-Type: Application/JSON; charset=UTF-8\r\n", None),
        (b"Connection: Keep-Alive\r\nAccept: */*\r\nAccept: text/html\r\n", None),
    ],
)
def test_plain(more: bytes, request_id: str | None) -> None:
    """The id and the length of the body; what follows the head is not touched."""
    head = BEGIN + more + LENGTH + b"\r\n"
    assert plain_head(head + BODY) == Head(head, request_id, len(BODY))


@pytest.mark.parametrize(
    ("more", "parent"),
    [
        (b"", None),
        (b"tracestate: a=1\r\n", None),
        (b"traceparent: 00-1-2-01\r\n", {"traceparent": "00-1-2-01"}),
        (
            b"Tracestate: a=1\r\nTraceParent: 00-1-2-01\r\ntracestate: b=2\r\n",
            {"traceparent": "00-1-2-01", "tracestate": "a=1,b=2"},
        ),
        (b"traceparent: 1\r\ntraceparent: 2\r\n", {"traceparent": "1,2"}),
    ],
)
def test_part_of_a_trace(more: bytes, parent: dict[str, str] | None) -> None:
    """What W3C names is told; such a request is as plain as any."""
    told = plain_head(BEGIN + more + LENGTH + b"\r\n")
    assert told is not None
    assert told.parent == parent


@pytest.mark.parametrize(
    "head",
    [
        BEGIN + LENGTH + b"\r\n",
        BEGIN + LENGTH + b"X-Request-Id: abc\r\n\r\n",
        BEGIN + b"Content-Length: 2\r\n\r\n",
        BEGIN + LENGTH + b"Expect: 100-continue\r\n\r\n",
        BEGIN + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n",
    ],
)
@given(data=st.data())
def test_the_head_before_changes_nothing(head: bytes, data: st.DataObject) -> None:
    """Known or not, a head says the same, wherever what came ends."""
    last = plain_head(PLAIN)
    came = (head + BODY)[: data.draw(st.integers(0, len(head + BODY)))]
    assert _told(came, last) == _told(came, None)


def test_the_same_head_again_is_known() -> None:
    """It is not parsed again, whatever its body."""
    last = plain_head(PLAIN)
    assert plain_head(PLAIN[: -len(BODY)] + b'{"user_id":"u2"}', last) is last


def _told(data: bytes, last: Head | None) -> Head | str | None:
    try:
        return plain_head(data, last)
    except UnusualError:
        return "unusual"


@given(st.integers(0, len(PLAIN) - len(BODY) - 1))
def test_not_all_of_it(cut: int) -> None:
    """A part of a plain head is no reason to give up on it."""
    assert plain_head(PLAIN[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET /v1/recommendations HTTP/1.1\r\n\r\n",
        b"POST /v1/recommendations HTTP/1.0\r\n" + LENGTH + b"\r\n" + BODY,
        b"POST /v1/recommendations?a=b HTTP/1.1\r\n" + LENGTH + b"\r\n" + BODY,
        b"POST /v1/events HTTP/1.1\r\n" + LENGTH + b"\r\n" + BODY,
        b"\x16\x03\x01 a TLS greeting",
        BEGIN + b"\r\n" + BODY,
        BEGIN + b"Content-Length: x\r\n\r\n" + BODY,
        BEGIN + b"Content-Length: -1\r\n\r\n" + BODY,
        BEGIN + b"Content-Length: 0000000000016\r\n\r\n" + BODY,
        b"POST /v1/recommendations HTTP/1.1\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"Host: other\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"A: " + b"a" * MAX_HEAD + b"\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + LENGTH + LENGTH + b"\r\n" + BODY,
        BEGIN + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1),
        BEGIN + b"Content-Length: 99999999999999999999\r\n\r\n",
        BEGIN + b"Transfer-Encoding: chunked\r\n\r\n",
        BEGIN + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"Content-Encoding: gzip\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n",
        BEGIN + b"Upgrade: h2c\r\nConnection: upgrade\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"Connection: close\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"Content-Type: text/plain\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"Content-Type: application/json; charset=latin-1\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"no header\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"A: b\r\n folded\r\n" + b"Bad Name: x\r\n" + LENGTH + b"\r\n" + BODY,
        BEGIN + b"A: " + b"a" * MAX_HEAD,
    ],
)
def test_anything_else(data: bytes) -> None:
    """Is not for us to read."""
    with pytest.raises(UnusualError):
        plain_head(data)


@given(st.binary(max_size=200))
def test_rubbish_in_a_head(rubbish: bytes) -> None:
    """Is refused, or is some header that does not matter; never another error."""
    try:
        told = plain_head(BEGIN + LENGTH + b"A: " + rubbish + b"\r\n\r\n" + BODY)
    except UnusualError:
        return
    assert told is None or told.length == len(BODY)
