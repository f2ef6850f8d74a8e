"""A request from its first byte to its last, read without waiting. gunicorn's parsers do all the parsing."""

import io
from typing import Any, NoReturn

from django.core.exceptions import RequestDataTooBig
from gunicorn.asgi.parser import ParseError, PythonProtocol  # type: ignore[import-untyped]  # gunicorn has no types
from gunicorn.http.body import ChunkedReader  # type: ignore[import-untyped]  # as above
from gunicorn.http.errors import (  # type: ignore[import-untyped]  # as above
    InvalidChunkSize,
    LimitRequestHeaders,
    NoMoreData,
)
from gunicorn.http.message import Request  # type: ignore[import-untyped]  # as above
from gunicorn.http.unreader import IterUnreader  # type: ignore[import-untyped]  # as above

from config.buffering.pace import MAX_HEAD_BYTES, MAX_LINE_BYTES


class IncomingRequest:
    """Collects the bytes of one request, and those that the client sent behind it."""

    def __init__(self, cfg: Any, peer: Any, number: int, *, max_body_bytes: int) -> None:
        self._cfg, self._peer, self._number, self._max_body_bytes = cfg, peer, number, max_body_bytes
        self._received = bytearray()  # and not parsed yet
        self._head: Any = None
        self._chunks: _Chunks | None = None
        self.too_big = False  # the body is not read
        self._length = 0  # of the body; of a body in chunks, what has arrived

    @property
    def started(self) -> bool:
        """Tell whether a byte has arrived."""
        return bool(self._received) or self.head_complete

    @property
    def head_complete(self) -> bool:
        """Tell whether the next byte belongs to the body."""
        return self._head is not None

    @property
    def buffered_bytes(self) -> int:
        """The size of what has arrived, and may be in memory."""
        return max(len(self._received), self._length if self._chunks else 0)

    @property
    def expects_continue(self) -> bool:
        """Tell whether the client waits for `100 Continue` before it sends the body."""
        return self.head_complete and bool(self._head._expected_100_continue)  # noqa: SLF001 - gunicorn has no other name

    def feed(self, data: bytes) -> Any:
        """Take the next bytes; return gunicorn's request once it is complete, and None before.

        The input of a request whose body is too big raises RequestDataTooBig. Raises gunicorn's errors.
        """
        self._received += data
        if not self.head_complete and not self._parse_head(data):
            return None
        body = self._body_of_length() if self._chunks is None else self._body_in_chunks(self._chunks)
        if body is None:
            return None
        self._head.body = body
        self._head._expected_100_continue = False  # noqa: SLF001 - else gunicorn sends 100 before the response
        return self._head

    def behind(self) -> bytes:
        """Return the bytes behind the complete request."""
        return bytes(self._received)

    def _parse_head(self, data: bytes) -> bool:
        if b"\n" not in data and len(self._received) <= MAX_LINE_BYTES:
            return False  # nothing can have become complete, or wrong
        unreader = IterUnreader([bytes(self._received)])
        try:
            head = Request(self._cfg, unreader, self._peer, self._number)
        except NoMoreData:
            if len(self._received) > MAX_HEAD_BYTES:
                raise LimitRequestHeaders(f"more than {MAX_HEAD_BYTES} bytes") from None
            return False
        self._head, self._received = head, bytearray(unreader.take_buffered())
        if isinstance(head.body.reader, ChunkedReader):
            self._chunks = _Chunks(self._cfg)
        else:
            self._length = head.body.reader.length
        return True

    def _body_of_length(self) -> "io.BytesIO | _TooBig | None":
        if self._length > self._max_body_bytes:
            return self._too_big()
        if len(self._received) < self._length:
            return None
        body = io.BytesIO(self._received[: self._length])
        del self._received[: self._length]
        return body

    def _body_in_chunks(self, chunks: "_Chunks") -> "io.BytesIO | _TooBig | None":
        self._length += len(self._received)
        complete = chunks.feed(self._received)
        self._received.clear()
        if self._length > self._max_body_bytes:
            self._head.headers.append(("CONTENT-LENGTH", str(self._length)))
            return self._too_big()
        if not complete:
            return None
        self._received += chunks.behind()
        # Django reads no body without a length.
        self._head.headers.append(("CONTENT-LENGTH", str(len(chunks.body))))
        return io.BytesIO(chunks.body)

    def _too_big(self) -> "_TooBig":
        self.too_big = True
        self._head.force_close()  # where the next request begins is not known
        return _TooBig()


class _Chunks:
    """A body in chunks. It is read by gunicorn's parser for asyncio, which takes bytes as they come."""

    def __init__(self, cfg: Any) -> None:
        self.body = bytearray()
        self._parser = PythonProtocol(
            on_body=self.body.extend,
            limit_request_fields=cfg.limit_request_fields,
            limit_request_field_size=cfg.limit_request_field_size,
        )
        self._parser.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")

    def feed(self, data: bytes | bytearray) -> bool:
        """Take the next bytes; tell whether the body is complete."""
        try:
            self._parser.feed(data)
        except ParseError as error:
            raise InvalidChunkSize(str(error)) from error
        return bool(self._parser.is_complete)

    def behind(self) -> bytes:
        """Return the bytes behind the body."""
        return bytes(self._parser.remaining())


class _TooBig:
    """The input of a request whose body is too big: the application answers by the length, and cannot read it."""

    def read(self, _size: int = -1) -> NoReturn:
        raise RequestDataTooBig("The body is larger than DATA_UPLOAD_MAX_MEMORY_SIZE.")

    readline = readlines = __iter__ = read
