"""Workers of the service are killed under load: the servers count no call that the counters lack.

A worker counts a call before the driver sends it, and its rows after the answer. So the counters may be ahead of the
servers by the calls that ran when their worker was killed, and their rows may be behind by these.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

import pytest
from tests.integration.conftest import environment
from tests.support.gunicorn import TOKEN, Gunicorn, serving
from tests.support.server_counts import forget
from tests.support.servers import Servers
from tests.support.waiting import until

from switchyard.telemetry import metrics
from switchyard.telemetry.shared_storage import read

pytestmark = pytest.mark.docker

WORKERS, THREADS, CLIENTS, KILLS = 2, 2, 6, 5
RUNNING = KILLS * THREADS  # calls that may have run in the killed workers
REQUESTS = 40  # between two kills
# (alias, app, operation) -> its statements on the server. Probes and the set-up of connections name no such table.
STATEMENTS = {
    ("default", "accounts", "read"): 'SELECT%FROM "accounts\\_user"%',
    ("replica", "accounts", "read"): 'SELECT%FROM "accounts\\_user"%',
    ("analytics", "analytics", "write"): 'INSERT INTO "analytics\\_analyticsevent"%',
}


@pytest.fixture
def gunicorn(servers: Servers, tmp_path: Path) -> Iterator[Gunicorn]:
    """The service with several workers of several threads, and a user."""
    servers.clean()
    given = {"METRICS_DIR": str(tmp_path / "metrics"), "DATA_DIR": str(tmp_path), "SERVED_OVER_HTTPS": "false"}
    environ = environment(**servers.environ(), **given, WEB_THREADS=str(THREADS))
    with serving(environ, "--workers", str(WORKERS)) as made:
        until(lambda: len(made.workers()) == WORKERS, "the workers run")
        assert ask(made, "POST", "/api/users", {"username": "ada", "email": "ada@example.com"}) == 201
        yield made


def ask(gunicorn: Gunicorn, method: str, path: str, body: object = None) -> int:
    """Send a request over a new connection; return its status, 0 if its worker was killed."""
    connection = HTTPConnection("127.0.0.1", gunicorn.port, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


class Clients:
    """Clients that read the user and record an event, again and again."""

    def __init__(self, gunicorn: Gunicorn) -> None:
        self.answered = 0
        self._gunicorn = gunicorn
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            statuses = [
                ask(self._gunicorn, "GET", "/api/users/1"),
                ask(self._gunicorn, "POST", "/api/events", {"user_id": 1, "kind": "login"}),
            ]
            with self._lock:
                self.answered += sum(status in {200, 201} for status in statuses)


def counted(directory: Path) -> dict[tuple[str, ...], float]:
    """Return the sums over all workers, of queries by (alias, operation, app) and of rows by (alias, direction)."""
    counts = read(directory)
    assert counts is not None
    return {
        labels: cells[0]
        for family, children in counts.layout.children(counts.totals)
        for labels, cells in children
        if family.name in {metrics.QUERIES, metrics.ROWS}
    }


def by_server(servers: Servers, alias: str, pattern: str) -> tuple[int, int]:
    """Return the calls and the rows of the statements of the pattern."""
    sums = "coalesce(sum(calls), 0)::int, coalesce(sum(rows), 0)::int"
    ((calls, rows),) = servers.ask(alias, f"SELECT {sums} FROM pg_stat_statements WHERE query LIKE '{pattern}'")
    return calls, rows


def test_exactness__killed_workers(servers: Servers, gunicorn: Gunicorn, tmp_path: Path) -> None:
    """After five kills no call is lost; at most the calls that ran in the killed workers are counted in addition."""
    until(lambda: ask(gunicorn, "GET", "/api/users/1") == 200, "the user is read")
    for alias in {alias for alias, _, _ in STATEMENTS}:
        forget(servers, alias)
    before = counted(tmp_path / "metrics")
    with Clients(gunicorn) as clients:
        for _ in range(KILLS):
            answered, workers = clients.answered, gunicorn.workers()
            until(lambda answered=answered: clients.answered >= answered + REQUESTS, "requests are answered")
            killed = min(workers)
            os.kill(killed, signal.SIGKILL)
            until(lambda killed=killed: len(gunicorn.workers() - {killed}) == WORKERS, "another worker runs")
    after = counted(tmp_path / "metrics")

    assert clients.answered >= KILLS * REQUESTS
    total = 0
    for (alias, app, operation), pattern in STATEMENTS.items():
        calls, rows = by_server(servers, alias, pattern)
        labels, direction = (alias, operation, app), (alias, "affected" if operation == "write" else "returned")
        added, rows_added = after[labels] - before[labels], after[direction] - before[direction]
        total += calls
        assert calls <= added <= calls + RUNNING, (alias, operation)
        assert rows - RUNNING <= rows_added <= rows, (alias, direction)
    assert total >= clients.answered
