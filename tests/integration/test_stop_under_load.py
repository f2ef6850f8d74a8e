"""A service stops under load, behind a balancer that asks /readyz: no request fails.

The balancer of this test retries nothing, and knows nothing but the answers of /readyz.
"""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.gunicorn import TOKEN, Gunicorn, database_environ, serving
from tests.support.waiting import until

CLIENTS = 8
CHECK_INTERVAL_SECONDS = 0.1
DRAIN_SECONDS = 3
TIMEOUT_SECONDS = 30


class Answer(NamedTuple):
    """One answer of a service: its port, its status, 0 for none, and the `time.monotonic()` of its end."""

    port: int
    status: int
    ended_at: float


@dataclass
class Balancer:
    """Clients whose requests go in turn to the services that are ready, over connections that stay open."""

    ports: list[int]
    checks: list[Answer] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    _ready: frozenset[int] = frozenset()
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send requests in this block, which begins when all services are ready."""
        threads = [threading.Thread(target=self._check)]
        threads += [threading.Thread(target=self._ask, args=[number]) for number in range(CLIENTS)]
        try:
            threads[0].start()
            until(lambda: self._ready == set(self.ports), "both services are ready")
            for thread in threads[1:]:
                thread.start()
            yield
        finally:
            self._ended.set()
            for thread in threads:
                if thread.ident:
                    thread.join()

    def answered_by(self, port: int, *, after: float) -> int:
        """Return the number of requests that the service has answered since then."""
        return sum(answer.port == port and answer.ended_at > after for answer in self.answers)

    def _check(self) -> None:
        while not self._ended.wait(CHECK_INTERVAL_SECONDS):
            checks = [self._check_once(port) for port in self.ports]
            self._ready = frozenset(each.port for each in checks if each.status == 200)
            self.checks += checks

    def _check_once(self, port: int) -> Answer:
        with closing(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)) as connection:
            return get(connection, "/readyz")

    def _ask(self, first: int) -> None:
        open_connections = {port: HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS) for port in self.ports}
        turns = cycle(self.ports[first % 2 :] + self.ports[: first % 2])
        while not self._ended.is_set():
            port = next(turns)
            if port in self._ready:
                self.answers.append(get(open_connections[port], "/api/users?limit=5"))
        for connection in open_connections.values():
            connection.close()


def get(connection: HTTPConnection, path: str) -> Answer:
    """Send a request over the connection, and return the answer."""
    status = 0
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        response.read()
        status = response.status
    except (OSError, HTTPException):
        connection.close()
    return Answer(connection.port, status, time.monotonic())


@pytest.fixture
def services(tmp_path: Path) -> Iterator[list[Gunicorn]]:
    """Two services with two workers each, on the same embedded databases."""
    environ = {**database_environ(tmp_path, users=10), "DRAIN_SECONDS": str(DRAIN_SECONDS)}
    with ExitStack() as stack:
        options = ("--workers", "2", "--threads", "4")
        yield [stack.enter_context(serving(environ, *options, log=tmp_path / f"log-{n}")) for n in range(2)]


def test_stop__under_load(services: list[Gunicorn]) -> None:
    """/readyz fails first, requests go on to be answered, then the socket closes; no request of any client fails."""
    stopped, other = services
    balancer = Balancer([stopped.port, other.port])
    with balancer.running():
        until(lambda: len(balancer.answers) > 20 * CLIENTS, "requests are answered")
        signalled_at = time.monotonic()
        stopped.process.send_signal(signal.SIGTERM)
        code = stopped.process.wait(timeout=TIMEOUT_SECONDS)
        closed_at = time.monotonic()
        before = balancer.answered_by(other.port, after=closed_at)
        until(lambda: balancer.answered_by(other.port, after=closed_at) > before + CLIENTS, "the other one goes on")

    checks = [check for check in balancer.checks if check.port == stopped.port and check.ended_at > signalled_at]
    not_ready = [check.ended_at for check in checks if check.status == 503]
    refused = [check.ended_at for check in checks if check.status == 0]
    print(f"{Counter(check.status for check in checks)}, ended {closed_at - signalled_at:.2f} s after SIGTERM")
    assert Counter(answer.status for answer in balancer.answers) == {200: len(balancer.answers)}
    assert balancer.answered_by(stopped.port, after=signalled_at) > 0
    assert code == 0
    assert min(not_ready) < max(not_ready) < min(refused)
    assert min(refused) > signalled_at + DRAIN_SECONDS
