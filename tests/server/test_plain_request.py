"""Which requests are plain, wherever the network cuts them; all others are left to aiohttp."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.body import MAX_BODY
from server.plain_request import MAX_HEAD, UnusualError, plain_request

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
        (b"Connection: Keep-Alive\r\nAccept: */*\r\ntraceparent: 00-1-2-01\r\n", None),
    ],
)
def test_plain(more: bytes, request_id: str | None) -> None:
    """Body, id and size; what follows is not touched."""
    data = BEGIN + more + LENGTH + b"\r\n" + BODY
    told = plain_request(data + b"POST")
    assert told is not None
    assert (told.body, told.head.request_id, told.size) == (BODY, request_id, len(data))


@pytest.mark.parametrize(
    "head",
    [
        BEGIN + LENGTH + b"\r\n",
        BEGIN + LENGTH + b"X-Request-Id: abc\r\n\r\n",
        BEGIN + b"Content-Length: 2\r\n\r\n",
    ],
)
@given(data=st.data())
def test_the_head_before_changes_nothing(head: bytes, data: st.DataObject) -> None:
    """Known or not, a head says the same, wherever what came ends."""
    last = plain_request(PLAIN)
    assert last is not None
    came = (head + BODY)[: data.draw(st.integers(0, len(head + BODY)))]
    assert plain_request(came, last.head) == plain_request(came)


@given(st.integers(0, len(PLAIN) - 1))
def test_not_all_of_it(cut: int) -> None:
    """A part of a plain request is no reason to give up on it."""
    assert plain_request(PLAIN[:cut]) is None


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
        plain_request(data)


@given(st.binary(max_size=200))
def test_rubbish_in_a_head(rubbish: bytes) -> None:
    """Is refused, or is some header that does not matter; never another error."""
    try:
        told = plain_request(BEGIN + LENGTH + b"A: " + rubbish + b"\r\n\r\n" + BODY)
    except UnusualError:
        return
    assert told is None or told.body or told.size
