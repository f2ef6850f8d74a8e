"""A request that arrives in pieces, and gunicorn's parsers behind it."""

from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from gunicorn.config import Config
from gunicorn.http import errors
from hypothesis import given
from hypothesis import strategies as st

from config.buffering.incoming import IncomingRequest
from config.buffering.pace import MAX_HEAD_BYTES

LIMIT = 1000  # bytes of a body
PEER = ("127.0.0.1", 50000)
BEHIND = b"GET /next HTTP/1.1\r\n\r\n"

# name -> bytes of the request, and its method, path and body
REQUESTS = {
    "without a body": (b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/a", b""),
    "with an empty line first": (b"\r\nGET /a HTTP/1.1\r\n\r\n", "GET", "/a", b""),
    "HTTP/1.0": (b"GET /a HTTP/1.0\r\n\r\n", "GET", "/a", b""),
    "with a length": (b"POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n\r\n\r\n1234\n", "POST", "/a", b"\r\n\r\n1234\n"),
    "in chunks": (
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
        *("POST", "/a", b"\r\n\r\nabc"),
    ),
}


def incoming() -> IncomingRequest:
    """Return a request of which nothing has arrived."""
    return IncomingRequest(Config(), PEER, 1, max_body_bytes=LIMIT)


def fed(request: IncomingRequest, *pieces: bytes) -> Any:
    """Feed the pieces; return the complete request, after which no piece may come."""
    for number, piece in enumerate(pieces, start=1):
        if complete := request.feed(piece):
            assert number == len(pieces)
            return complete
    return None


@pytest.mark.parametrize("name", REQUESTS)
@given(data=st.data())
def test_request__in_pieces(name: str, data: st.DataObject) -> None:
    """A request is complete with its last byte and not earlier, wherever it is cut."""
    sent, method, path, body = REQUESTS[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1), max_size=8)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    request = incoming()

    complete = fed(request, *pieces)

    assert (complete.method, complete.path, complete.body.read()) == (method, path, body)
    assert request.behind() == b""


@pytest.mark.parametrize("name", REQUESTS)
def test_request__with_another_behind(name: str) -> None:
    """What arrives with a request, of the next one, is kept."""
    sent, _, _, body = REQUESTS[name]
    request = incoming()

    complete = fed(request, sent + BEHIND)

    assert complete.body.read() == body
    assert request.behind() == BEHIND


def test_chunks__length() -> None:
    """The application is told the length of a body that arrived in chunks."""
    complete = fed(incoming(), REQUESTS["in chunks"][0])

    assert ("CONTENT-LENGTH", "7") in complete.headers


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", errors.InvalidHeader),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", errors.InvalidHeader),
        (b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", errors.InvalidHeader),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n", errors.InvalidHeaderName),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n", errors.InvalidHeader),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", errors.InvalidHeader),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", errors.InvalidHeader),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: new\r\n\r\n", errors.UnsupportedTransferCoding),
        (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", errors.InvalidHeader),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n", errors.InvalidChunkSize),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", errors.InvalidChunkSize),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n", errors.InvalidChunkSize),
        (b"GET / HTTP/1.1\n\n", errors.InvalidRequestLine),
        (b"GET / HTTP/1.1\r\nHost: x\n\n", errors.InvalidHeader),
        (b"GET  / HTTP/1.1\r\n\r\n", errors.InvalidRequestLine),
        (b"GET / HTTP/2.0\r\n\r\n", errors.InvalidHTTPVersion),
        (b"GET /" + b"a" * 9000, errors.LimitRequestLine),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n", errors.LimitRequestHeaders),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", errors.LimitRequestHeaders),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (MAX_HEAD_BYTES // 6 + 1), errors.LimitRequestHeaders),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD_BYTES, errors.LimitRequestHeaders),
    ],
)
def test_request__that_is_wrong(sent: bytes, error: type[Exception]) -> None:
    """A request that is ambiguous, malformed or too long is refused, as soon as that can be seen."""
    with pytest.raises(error):
        fed(incoming(), sent)


@pytest.mark.parametrize(
    "sent",
    [
        f"POST / HTTP/1.1\r\nContent-Length: {LIMIT + 1}\r\n\r\n".encode(),
        f"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{LIMIT:x}\r\n".encode() + b"a" * LIMIT,
    ],
    ids=["by its length", "by its chunks"],
)
def test_body__too_big(sent: bytes) -> None:
    """The application gets a request whose body is too big at once: it sees the length, and cannot read the body."""
    complete = fed(incoming(), sent)

    with pytest.raises(RequestDataTooBig):
        complete.body.read(10)
    assert int(dict(complete.headers)["CONTENT-LENGTH"]) > LIMIT
    assert complete.should_close()


def test_body__of_the_greatest_size() -> None:
    """A body of exactly the limit is read."""
    complete = fed(incoming(), f"POST / HTTP/1.1\r\nContent-Length: {LIMIT}\r\n\r\n".encode(), b"a" * LIMIT)

    assert complete.body.read() == b"a" * LIMIT


def test_expect__before_the_body() -> None:
    """A client that waits for `100 Continue` is known by its header, and not asked for again."""
    request = incoming()
    request.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")

    expected = request.expects_continue
    complete = request.feed(b"x")

    assert expected
    assert not complete._expected_100_continue


def test_buffered_bytes__of_a_part() -> None:
    """What has arrived of a request counts as buffered."""
    by_length, in_chunks = incoming(), incoming()
    by_length.feed(b"POST / HTTP/1.1\r\nContent-Length: 900\r\n\r\n" + b"a" * 500)
    in_chunks.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n384\r\n" + b"a" * 500)

    assert by_length.buffered_bytes == 500
    assert in_chunks.buffered_bytes == 505
