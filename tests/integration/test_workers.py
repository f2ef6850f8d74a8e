"""The counters of a real gunicorn with two workers, on embedded databases, read from the exporter beside it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.conftest import manage
from tests.support.service import SECRETS, free_port, listens
from tests.support.waiting import until

APP = Path(__file__).resolve().parents[2] / "app"
TOKEN = SECRETS["API_TOKEN"]

Volume = dict[tuple[str, str, str], float]

# The queries of each request, as alias, operation, app. The user of an event is read from the owner, because the user
# may be new.
COST_OF_A_USER = {("replica", "read", "accounts"): 1}
COST_OF_AN_EVENT = {("default", "read", "accounts"): 1, ("analytics", "write", "analytics"): 1}


@dataclass(frozen=True)
class Service:
    """A running service and its exporter."""

    master: int
    port: int
    metrics_port: int
    counters: Path

    def ask(self, path: str, body: object = None) -> int:
        """Send a request and return its status."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def ask_200_times(self) -> set[int]:
        """Send 120 requests for users and 80 with events, eight at a time; return the statuses."""

        def one(number: int) -> int:
            if number % 5 < 3:
                return self.ask(f"/api/users/{number % 10 + 1}")
            return self.ask("/api/events", {"user_id": number % 10 + 1, "kind": "login"})

        with ThreadPoolExecutor(8) as pool:
            return set(pool.map(one, range(200)))

    def volume(self) -> Volume:
        """Return the query counters of /metrics that are not 0."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as response:
            families = text_string_to_metric_families(response.read().decode())
        return {
            (sample.labels["alias"], sample.labels["operation"], sample.labels["app"]): sample.value
            for family in families
            for sample in family.samples
            if sample.name == "switchyard_queries_total" and sample.value
        }

    def files(self) -> list[str]:
        """Return the names of the shared files, except those of slow calls: a busy machine makes any call slow."""
        return sorted(path.name for path in self.counters.iterdir() if path.stem != "statements")

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        return set(map(int, Path(f"/proc/{self.master}/task/{self.master}/children").read_text().split()))


def expected(rounds: int) -> Volume:
    """Return the queries of so many rounds of 200 requests."""
    users = {labels: 120.0 * rounds * number for labels, number in COST_OF_A_USER.items()}
    return users | {labels: 80.0 * rounds * number for labels, number in COST_OF_AN_EVENT.items()}


@contextmanager
def running(*command: str, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of the service in this block."""
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=APP, env=environ)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with migrated and filled databases."""
    data = tmp_path_factory.mktemp("data")
    (data / "static").mkdir()
    given = {"DATA_DIR": str(data), **SECRETS, "SERVED_OVER_HTTPS": "false", "DRAIN_SECONDS": "0"}
    for arguments in (["migrate_all"], ["seed", "--users", "10", "--events", "0", "--customers", "0"]):
        done = manage(*arguments, **given)
        assert done.returncode == 0, done.stdout + done.stderr
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DATABASE_")}
    return {**inherited, **given, "WEB_CONCURRENCY": "2", "WEB_THREADS": "4"}


@pytest.fixture
def service(environ: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    """The service with two workers, and counters at zero."""
    port, metrics_port = free_port(), free_port()
    environ = {**environ, "METRICS_DIR": str(tmp_path)}
    with (
        running(
            *("gunicorn", "--config", "config/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}", "config.wsgi"),
            environ=environ,
        ) as web,
        running(
            *("switchyard.telemetry.exporter", "--dir", str(tmp_path), "--port", str(metrics_port)), environ=environ
        ),
    ):
        service = Service(web.pid, port, metrics_port, tmp_path)
        until(lambda: listens(port) and listens(metrics_port), "the service and the exporter listen")
        assert service.ask("/livez") == 200
        until(lambda: len(service.workers()) == 2, "there are two workers")
        yield service


def test_volume__of_two_workers(service: Service) -> None:
    """After 200 requests with known queries the counters show exactly these queries."""
    statuses = service.ask_200_times()

    assert statuses == {200, 201}
    assert service.volume() == expected(rounds=1)


def test_volume__after_a_worker_was_killed(service: Service) -> None:
    """The counts of a killed worker are kept, and its replacement continues them."""
    service.ask_200_times()
    files = service.files()
    before = service.workers()
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(service.workers()) == 2 and service.workers() != before, "a worker replaces the killed one")

    statuses = service.ask_200_times()

    assert statuses == {200, 201}
    assert service.volume() == expected(rounds=2)
    assert service.files() == files


def test_volume__of_health_checks(service: Service) -> None:
    """Health checks are not counted, however many there are."""
    statuses = [service.ask(path) for path in ("/readyz", "/livez") * 10]

    assert statuses == [200] * 20
    assert service.volume() == {}


def test_metrics__while_every_worker_is_busy(service: Service) -> None:
    """The exporter answers while every worker is busy."""
    service.ask("/api/users/1")
    workers = service.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        volume = service.volume()
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)

    assert volume == COST_OF_A_USER


def test_metrics__on_the_port_of_the_service(service: Service) -> None:
    """The port of the API does not serve metrics."""
    assert service.ask("/metrics") == 404
