"""The deadline of health under gunicorn, where it is used up: a database that no monitor watches is silent.

Where a monitor watches the server, no answer waits: `test_health_faults.py`.
"""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import pytest
from tests.bench.crowd import crowd
from tests.support.gunicorn import TOKEN, Gunicorn, database_environ, serving

from switchyard.health.alias_probe import PROBE_TIMEOUT_SECONDS
from switchyard.health.readiness import VERDICT_TTL_SECONDS

FILES = {f"DATABASE_{alias.upper()}_URL": f"sqlite:///{alias}.sqlite3" for alias in ("default", "analytics", "legacy")}
STATES = {"default": "up", "analytics": "up", "legacy": "up", "spare": "down"}
MARGIN_SECONDS = PROBE_TIMEOUT_SECONDS / 2  # an answer that waits for the server takes a minute
ROUNDS = 4


@dataclass(frozen=True)
class Service:
    """The service with one worker, and the silent server of its alias `spare`, which owns nothing."""

    gunicorn: Gunicorn
    listener: socket.socket
    accepted: list[socket.socket] = field(default_factory=list)

    def ask(self, path: str) -> tuple[float, int, bytes]:
        """Return how long an answer took, its status and its body."""
        began_at = time.monotonic()
        with closing(HTTPConnection("127.0.0.1", self.gunicorn.port, timeout=30)) as connection:
            connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
            response = connection.getresponse()
            body = response.read()
        return time.monotonic() - began_at, response.status, body

    def opened(self) -> int:
        """Return the number of connections that the silent server has got; they stay open."""
        with suppress(BlockingIOError):
            while True:
                self.accepted.append(self.listener.accept()[0])
        return len(self.accepted)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the service, with migrated SQLite files."""
    return database_environ(tmp_path_factory.mktemp("data"), users=1)


@pytest.fixture
def service(environ: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    """The service on SQLite files, and on the silent server. Its probe gives up after a minute."""
    with socket.create_server(("127.0.0.1", 0), backlog=600) as listener, ExitStack() as stack:
        listener.setblocking(False)
        spare = f"postgresql://app:secret@127.0.0.1:{listener.getsockname()[1]}/spare?connect_timeout=60"
        given = {**environ, **FILES, "DATABASE_SPARE_URL": spare}
        gunicorn = stack.enter_context(serving(given, "--workers", "1", "--threads", "4", log=tmp_path / "log"))
        made = Service(gunicorn, listener)
        yield made
        for connection in made.accepted:
            connection.close()


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
def test_health__of_a_silent_server(service: Service, path: str) -> None:
    """An answer waits for the deadline and not longer, and says which alias is down; /livez waits for nothing.

    A busy machine makes some answers later, so the fastest of those that waited tells what the service did.
    """
    waited, alive = [], []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(ROUNDS):
            asked = pool.submit(service.ask, path)
            while not asked.done():
                alive.append(service.ask("/livez"))
                time.sleep(0.05)
            waited.append(asked.result())
            time.sleep(VERDICT_TTL_SECONDS)  # until the verdict is too old

    seconds = sorted(each for each, _, _ in waited)
    print(f"{path} answered after {seconds}, /livez after {max(each for each, _, _ in alive):.3f} s at most")
    assert {status for _, status, _ in waited} == {200}
    assert [states(body) for _, _, body in waited] == [STATES] * ROUNDS
    assert PROBE_TIMEOUT_SECONDS <= seconds[0] < PROBE_TIMEOUT_SECONDS + MARGIN_SECONDS
    assert {status for _, status, _ in alive} == {200}
    assert median(each for each, _, _ in alive) < MARGIN_SECONDS


def test_readyz__of_500_clients_at_once(service: Service) -> None:
    """500 requests at once make one probe of the silent server, which gets one connection."""
    with crowd(service.gunicorn.port, "readyz", 500, pause_seconds=60) as answers:
        pass

    print(f"the last of 500 answers came after {max(each.seconds for each in answers):.2f} s")
    assert [each.status for each in answers] == [200] * 500
    assert service.opened() == 1


def states(body: bytes) -> dict[str, str]:
    """Return the states of the aliases in an answer of /readyz or /healthz."""
    return {
        alias: found if isinstance(found, str) else found["state"]
        for alias, found in json.loads(body)["aliases"].items()
    }
