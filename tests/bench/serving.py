"""The project of the benchmarks under gunicorn, and its HTTP clients."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from typing import Any, Self

from tests.bench.results import DIRECTORY, ROOT
from tests.support.service import free_port
from tests.support.waiting import until

LOG = DIRECTORY / "service.log"  # errors of the service; other stacks fail by design
WORKERS, THREADS = 2, 8
TIMEOUT = 30  # seconds that a client waits


@contextmanager
def served(environ: Mapping[str, str]) -> Iterator[int]:
    """Yield the port of the project, which two workers serve."""
    port = free_port()
    options = (
        *("--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "--threads", str(THREADS), "--timeout", "120"),
        *("--keep-alive", "75", "--log-level", "error", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"),
    )
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options, "tests.bench.service.wsgi:application"],
            env=dict(environ),
            cwd=ROOT,
            stderr=log,
        )
    try:
        until(lambda: _answers(port, process), f"the service answers on port {port}")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=60)


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise SystemExit(f"gunicorn ended with {process.returncode}; {LOG} says why.")
    try:
        with Client(port) as client:
            return client.ask("GET", "/livez").status == 200
    except (OSError, HTTPException):
        return False


@dataclass(frozen=True)
class Answer:
    """The response of the service, and its duration."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def found(self) -> dict[str, Any]:
        """Return the result of a read: `value` and `alias`."""
        if self.status != 200:
            raise RuntimeError(f"A read was answered {self.status}: {self.body[:300]!r}")
        found: dict[str, Any] = json.loads(self.body)
        return found


class Client:
    """A browser with cookies and two connections in turn, so that the next request may come to the other worker."""

    def __init__(self, port: int) -> None:
        self._connections = [HTTPConnection("127.0.0.1", port, timeout=TIMEOUT) for _ in range(2)]
        self._cookies: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._connections:
            connection.close()

    def forget(self) -> None:
        """Become another client, over the same connections."""
        self._cookies.clear()

    def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, cookies: bool = True) -> Answer:
        """Return the response."""
        sent = dict(headers or {})
        if cookies and self._cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        start = time.perf_counter()
        connection = self._connections[0]
        self._connections.reverse()
        try:
            connection.request(method, path, headers=sent)
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException):
            connection.close()  # the next request opens the connection again
            raise
        answer = Answer(response.status, response.headers, body, time.perf_counter() - start)
        if cookies:
            self._keep(response.headers.get_all("Set-Cookie") or [])
        return answer

    def _keep(self, lines: list[str]) -> None:
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self._cookies.pop(name, None)
                else:
                    self._cookies[name] = morsel.coded_value
