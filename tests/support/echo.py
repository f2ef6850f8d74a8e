"""A WSGI application that says what it got, or answers as the path asks: for tests of the worker class alone."""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

PIECE = b"0123456789abcdef" * 4096  # 64 KiB


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer `/big`, `/stream`, `/broken` and `/slow`, and say of all others what arrived."""
    path = environ["PATH_INFO"]
    if path == "/big":
        return _answer(start_response, PIECE * 64)
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return _stream()
    if path == "/broken":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return _broken()
    if path == "/slow":
        time.sleep(2)
    said = {
        "method": environ["REQUEST_METHOD"],
        "path": path,
        "length": environ.get("CONTENT_LENGTH"),
        "body": environ["wsgi.input"].read().decode(),
    }
    return _answer(start_response, json.dumps(said).encode())


def _answer(start_response: Any, body: bytes) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _stream() -> Iterator[bytes]:
    for _ in range(256):
        yield PIECE


def _broken() -> Iterator[bytes]:
    yield b"begun"
    raise RuntimeError("This application fails within its response.")
