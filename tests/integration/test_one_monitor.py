"""One process of those that share METRICS_DIR asks each server, and another one takes over when it ends."""

import os
import signal
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from tests.integration.conftest import environment
from tests.support.gunicorn import TOKEN, Gunicorn, serving
from tests.support.servers import Servers
from tests.support.waiting import until

pytestmark = pytest.mark.docker

WORKERS = 3
TAKEN_OVER = 2.0  # seconds; the promise is 1 second on a machine without other work
_OF_PROBES = "FROM pg_stat_activity WHERE application_name = 'switchyard probe' AND usename = 'app'"
PROBES = f"SELECT count(*) {_OF_PROBES}"
LEFT = f"SELECT pg_terminate_backend(pid) {_OF_PROBES}"  # a server that was cut off did not see that its client ended
POSTGRESQL = ("default", "replica", "analytics")


@pytest.fixture
def metrics_dir(tmp_path: Path) -> Path:
    """The directory that the workers share."""
    return tmp_path / "metrics"


@pytest.fixture
def gunicorn(servers: Servers, metrics_dir: Path, tmp_path: Path) -> Iterator[Gunicorn]:
    """The service with several workers."""
    for alias in POSTGRESQL:
        servers.ask(alias, LEFT)
    environ = environment(**servers.environ(), METRICS_DIR=str(metrics_dir), DATA_DIR=str(tmp_path))
    with serving({**environ, "SERVED_OVER_HTTPS": "false"}, "--workers", str(WORKERS)) as made:
        until(lambda: len(made.workers()) == WORKERS, "the workers run")
        yield made


def leader(metrics_dir: Path) -> int:
    """Return the process that asks the servers of `default`; 0 if there is none."""
    (lock,) = metrics_dir.glob("monitor-default-*.lock")
    inode = lock.stat().st_ino
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return next((int(row[4]) for row in rows if row[1] == "FLOCK" and row[5].endswith(f":{inode}")), 0)


def asked(servers: Servers) -> dict[str, int]:
    """Return the connections over which each server is asked."""
    return {alias: servers.ask(alias, PROBES)[0][0] for alias in POSTGRESQL}


def read(gunicorn: Gunicorn) -> int:
    """Read a list of users over a new connection, which any worker may answer; return the status."""
    connection = HTTPConnection("127.0.0.1", gunicorn.port, timeout=30)
    try:
        connection.request("GET", "/api/users", headers={"Authorization": f"Bearer {TOKEN}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_one_monitor__connections(servers: Servers, gunicorn: Gunicorn, metrics_dir: Path) -> None:
    """Each server has one connection of probes, however many workers there are."""
    until(lambda: asked(servers) == dict.fromkeys(POSTGRESQL, 1), "each server is asked over one connection")
    time.sleep(1)

    assert asked(servers) == dict.fromkeys(POSTGRESQL, 1)
    assert leader(metrics_dir) in gunicorn.workers()


def test_one_monitor__taken_over(servers: Servers, gunicorn: Gunicorn, metrics_dir: Path) -> None:
    """When the worker that asks is killed, another worker asks; no request fails meanwhile."""
    before = leader(metrics_dir)
    others = gunicorn.workers() - {before}
    os.kill(before, signal.SIGKILL)
    killed_at = time.monotonic()
    until(lambda: leader(metrics_dir) in others, "another worker asks")
    took = time.monotonic() - killed_at
    print(f"taken over after {took:.2f} s")
    statuses = {read(gunicorn) for _ in range(30)}
    until(lambda: asked(servers) == dict.fromkeys(POSTGRESQL, 1), "each server is asked over one connection")

    assert took < TAKEN_OVER
    assert statuses == {200}


def test_one_monitor__stood_still(servers: Servers, gunicorn: Gunicorn, metrics_dir: Path) -> None:
    """While the worker that asks stands still, others ask for themselves; when it goes on, it asks alone again."""
    alone = dict.fromkeys(POSTGRESQL, 1)
    until(lambda: asked(servers) == alone, "each server is asked over one connection")
    before = leader(metrics_dir)
    os.kill(before, signal.SIGSTOP)
    try:
        until(lambda: asked(servers)["default"] > 1, "others ask")
    finally:
        os.kill(before, signal.SIGCONT)
    until(lambda: asked(servers) == alone, "each server is asked over one connection again")

    assert leader(metrics_dir) == before


def test_one_monitor__verdicts_of_all_workers(servers: Servers, gunicorn: Gunicorn) -> None:
    """All workers know that a replica hangs, and read its owner."""
    assert {read(gunicorn) for _ in range(30)} == {200}
    with servers.paused("replica"):
        time.sleep(TAKEN_OVER)
        began = time.monotonic()
        statuses = {read(gunicorn) for _ in range(60)}
        took = time.monotonic() - began

    assert statuses == {200}
    assert took < 60 * 0.5
