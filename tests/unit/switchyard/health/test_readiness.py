"""The status for the states of the aliases, and the answer of /readyz."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from io import StringIO
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client, override_settings
from health_check.exceptions import ServiceUnavailable
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.probed_servers import PROBE_ERROR, ProbedServers
from tests.support.published import at, lagging

from config.databases import topology
from switchyard.health import readiness, stopping, views
from switchyard.health.alias_check import AliasCheck
from switchyard.health.alias_probe import PROBE_TIMEOUT_SECONDS, AliasState, probe_of
from switchyard.health.readiness import Readiness, Status, status_of
from switchyard.migrations import migrating
from switchyard.routing.monitor import monitor
from switchyard.routing.monitor.server_status import answers
from switchyard.routing.topology.replication import replication_set
from switchyard.telemetry import snapshot
from switchyard.telemetry.metrics import QUERIES

# An answer without a deadline would come never. `tests/integration/test_health_deadline.py` has the exact bound.
FOR_EVER_SECONDS = PROBE_TIMEOUT_SECONDS + 8
UP, DOWN, UNMIGRATED = AliasState.UP, AliasState.DOWN, AliasState.UNMIGRATED


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test new probes and a new verdict."""
    probe_of.cache_clear()
    monkeypatch.setattr(views, "_readiness", Readiness())
    monkeypatch.setattr(readiness, "VERDICT_TTL_SECONDS", 0.0)
    yield
    probe_of.cache_clear()


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Path:
    """The embedded databases, as files with all migrations applied."""
    files = tmp_path_factory.mktemp("databases")
    with django_db_blocker.unblock(), connected(topology({}, data_dir=files).databases):
        for alias in migrating():
            call_command("migrate", database=alias, stdout=StringIO())
    return files


@pytest.fixture
def service(migrated: Path, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The service on a copy of the migrated files. A database in memory would share one connection."""
    files = copytree(migrated, tmp_path / "databases")
    with django_db_blocker.unblock(), connected(topology({}, data_dir=files).databases):
        yield


@pytest.mark.parametrize(
    ("default", "replica", "legacy", "before", "after"),
    [
        (UP, UP, UP, Status.OK, Status.OK),
        (UP, DOWN, UP, Status.DEGRADED, Status.DEGRADED),
        (DOWN, UP, UP, Status.UNAVAILABLE, Status.DEGRADED),
        (DOWN, DOWN, UP, Status.UNAVAILABLE, Status.UNAVAILABLE),
        (UNMIGRATED, UP, UP, Status.UNAVAILABLE, Status.DEGRADED),
        (UP, UP, DOWN, Status.DEGRADED, Status.DEGRADED),
        (UP, UP, UNMIGRATED, Status.DEGRADED, Status.DEGRADED),
        (UP, DOWN, DOWN, Status.DEGRADED, Status.DEGRADED),
    ],
)
def test_status_of__states(
    default: AliasState, replica: AliasState, legacy: AliasState, before: Status, after: Status
) -> None:
    """The service stays ready without an optional owner; once ready, also without an owner whose replica is up."""
    aliases = {"default": default, "replica": replica, "legacy": legacy}

    assert status_of(aliases, optional=frozenset({"legacy"}), was_ready=False) is before
    assert status_of(aliases, optional=frozenset({"legacy"}), was_ready=True) is after


def test_status_of__one_of_several_required_owners() -> None:
    """The service starts with all of them, and stays ready for the requests of the others when it loses one."""
    lost = {"default": UP, "replica": UP, "analytics": UP, "legacy": DOWN}

    assert status_of(lost, optional=frozenset(), was_ready=False) is Status.UNAVAILABLE
    assert status_of(lost, optional=frozenset(), was_ready=True) is Status.DEGRADED


def test_status_of__no_owner_left() -> None:
    """Without any required owner, and without their replicas, the service is not ready."""
    lost = dict.fromkeys(("default", "replica", "analytics", "legacy"), DOWN)

    assert status_of(lost, optional=frozenset(), was_ready=True) is Status.UNAVAILABLE
    assert status_of({**lost, "replica": UP}, optional=frozenset(), was_ready=True) is Status.DEGRADED
    assert status_of({**lost, "legacy": UP}, optional=frozenset({"legacy"}), was_ready=True) is Status.UNAVAILABLE


@pytest.mark.usefixtures("service")
def test_readyz__of_the_migrated_service(client: Client) -> None:
    """The answer shows that all aliases are up, and nothing else."""
    response = client.get("/readyz")

    assert response.status_code == HTTPStatus.OK
    assert response.json() == {"status": "ok", "aliases": dict.fromkeys(connections, "up")}
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.usefixtures("service")
def test_readyz__counters(client: Client) -> None:
    """Probes do not change the counters of queries."""
    before = queries()

    client.get("/readyz")

    assert queries() == before


@pytest.mark.usefixtures("service")
def test_readyz__with_migrations_to_apply(client: Client) -> None:
    """The service is not ready until the migrations are applied."""
    with unrecorded("analytics", "reporting"):
        before = client.get("/readyz")
    after = client.get("/readyz")

    assert before.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert before.json()["status"] == "unavailable"
    assert before.json()["aliases"]["analytics"] == "unmigrated"
    assert after.status_code == HTTPStatus.OK


@pytest.mark.usefixtures("service")
def test_readyz__new_migrations_after_it_was_ready(client: Client) -> None:
    """Migrations of a newer release do not make the running release unready."""
    client.get("/readyz")
    with unrecorded("analytics", "reporting"):
        response = client.get("/readyz")

    assert response.status_code == HTTPStatus.OK


@pytest.mark.usefixtures("service")
def test_readyz__while_a_server_hangs(client: Client) -> None:
    """The answer comes within the timeout although the server accepts connections and never answers."""
    with hanging("analytics"):
        started = time.monotonic()
        response = client.get("/readyz")
        elapsed = time.monotonic() - started

    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert response.json()["aliases"]["analytics"] == "down"
    assert elapsed < FOR_EVER_SECONDS


@pytest.fixture
def watched(service: None) -> Iterator[ProbedServers]:
    """The watch of the owner `analytics`, in the monitor of this process. No thread runs."""
    servers = ProbedServers(replication_set("analytics"))
    monitor._monitor._watches = [servers.shared]
    yield servers
    monitor.stop()


def test_readyz__verdict_of_the_monitor(client: Client, watched: ProbedServers) -> None:
    """Where the monitor knows the server, no request asks it: the answer comes at once, though the server hangs."""
    watched.watch.pending.count = 0
    with hanging("analytics", asked=False):
        watched.owner_answers(5)
        watched.watch.evaluate()
        up = client.get("/readyz").json()["aliases"]["analytics"]
        watched.watch.probe.error = PROBE_ERROR
        watched.watch.evaluate()
        down = client.get("/readyz").json()["aliases"]["analytics"]

    assert (up, down) == ("up", "down")


def test_readyz__migrations_that_the_monitor_may_not_read(client: Client, watched: ProbedServers) -> None:
    """A server that answers the monitor without its migrations is unmigrated; no request asks it again."""
    watched.owner_answers(5)
    watched.watch.evaluate()
    with hanging("analytics", asked=False):
        response = client.get("/readyz")

    assert watched.watch.pending.count is None
    assert response.json()["aliases"]["analytics"] == "unmigrated"


def test_readyz__before_the_first_answer_to_the_monitor(watched: ProbedServers) -> None:
    """A check waits for the answer that the monitor has asked for, and asks the server no second time."""
    watched.watch.pending.count = 0
    with hanging("analytics", asked=False):
        check = AliasCheck(alias="analytics").probe()
        waited = not check.done()
        watched.owner_answers(5)
        watched.watch.evaluate()
        state = check.result(timeout=PROBE_TIMEOUT_SECONDS)

    assert waited
    assert state is UP


def test_readyz__of_an_unmanaged_owner(watched: ProbedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner whose tables others make is up as soon as it answers: nobody counts its migrations."""
    monkeypatch.setattr("switchyard.health.alias_probe.is_unmanaged", lambda alias: alias == "analytics")
    watched.owner_answers(5)
    watched.watch.evaluate()

    assert AliasCheck(alias="analytics").probe().result(timeout=0) is UP


def test_readyz__migrations_that_the_monitor_counts(client: Client, watched: ProbedServers) -> None:
    """The owner is unmigrated until the monitor has counted none; no request asks the server."""
    watched.owner_answers(5)
    watched.watch.evaluate()
    states = []
    with hanging("analytics", asked=False):
        for watched.watch.pending.count in (2, 0, 1):
            states.append(client.get("/readyz").json()["aliases"]["analytics"])

    assert states == ["unmigrated", "up", "up"]


@pytest.mark.usefixtures("service")
def test_answers__replica_and_owner() -> None:
    """A replica is down by its own state. An alias without a watch, or without an answer yet, is unknown."""
    with lagging("replica") as group:
        servers = ProbedServers(group)
        monitor._monitor._watches = [servers.shared]
        before = answers("default"), answers("replica"), answers("legacy")
        servers.owner_answers(5)
        servers.replica_answers(at(1), is_standby=False)  # promoted, and it answers
        servers.evaluate()
        after = answers("default"), answers("replica")
        servers.replica_probe().error = PROBE_ERROR
        servers.evaluate()
        down = answers("default"), answers("replica")
        monitor.stop()

    assert (before, after, down) == ((None, None, None), (True, True), (True, False))


@pytest.mark.usefixtures("service")
def test_probe__repeated_while_a_server_hangs() -> None:
    """One thread waits for the server, however many probes are requested."""
    with hanging("analytics"):
        results = {id(AliasCheck(alias="analytics").probe()) for _ in range(20)}
        waiting = [thread for thread in threading.enumerate() if thread.name == "switchyard-health-analytics"]

    assert len(results) == 1
    assert len(waiting) == 1


@pytest.mark.usefixtures("service")
def test_check__while_a_server_hangs(caplog: pytest.LogCaptureFixture) -> None:
    """The views and commands of django-health-check get an answer in time, with the alias and without the host."""
    with hanging("analytics"), caplog.at_level(logging.CRITICAL):
        started = time.monotonic()
        result = asyncio.run(AliasCheck(alias="analytics").get_result())
        elapsed = time.monotonic() - started

    assert isinstance(result.error, ServiceUnavailable)
    assert str(result.error) == "Unavailable: analytics is down"
    assert elapsed < FOR_EVER_SECONDS


@pytest.mark.usefixtures("service")
def test_readyz__asked_by_100_clients_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 requests at the same moment open one connection to a server that hangs, and all get the same answer."""
    monkeypatch.setattr(readiness, "VERDICT_TTL_SECONDS", 60.0)
    barrier, answered = threading.Barrier(100), []

    def ask() -> None:
        barrier.wait()
        answered.append(Client().get("/readyz").json()["aliases"]["analytics"])

    threads = [threading.Thread(target=ask) for _ in range(100)]
    with hanging("analytics") as listener:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        opened = accepted(listener)

    assert answered == ["down"] * 100
    assert opened == 1


@pytest.mark.usefixtures("service")
def test_check__awaited_by_500_tasks_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """500 checks in one event loop open one connection to a server that hangs, and each fails."""

    async def ask() -> list[BaseException | None]:
        results = await asyncio.gather(*(AliasCheck(alias="analytics").get_result() for _ in range(500)))
        return [result.error for result in results]

    with hanging("analytics") as listener, caplog.at_level(logging.CRITICAL):
        errors = asyncio.run(ask())
        opened = accepted(listener)

    # On a busy machine the deadline of the check itself may pass first.
    assert {str(error) for error in errors} <= {
        "Unavailable: analytics is down",
        "Unavailable: Timed out after 2 seconds",
    }
    assert opened == 1


@pytest.mark.usefixtures("service")
def test_readyz__of_a_process_that_stops(
    client: Client, token: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is no longer ready, says so without a probe, and is still alive."""
    client.get("/readyz")
    monkeypatch.setattr(stopping, "_stopping", False)
    stopping.stop_serving()
    with hanging("analytics", asked=False):
        ready, health = client.get("/readyz"), client.get("/healthz", headers=token)

    assert (ready.status_code, health.status_code) == (HTTPStatus.SERVICE_UNAVAILABLE,) * 2
    assert ready.json() == {"status": "stopping", "aliases": dict.fromkeys(connections, "up")}
    assert client.get("/livez").status_code == HTTPStatus.OK


@pytest.mark.usefixtures("service")
def test_check__of_an_alias_that_is_up() -> None:
    """django-health-check gets no error, and the alias as a label."""
    check = AliasCheck(alias="default")

    result = asyncio.run(check.get_result())

    assert result.error is None
    assert check.labels == {"check": "AliasCheck", "alias": "default"}


@pytest.mark.usefixtures("service")
def test_readyz__of_a_server_that_refuses(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """The body shows that the alias is down, the log names the class of the error, and the body names no host."""
    with closed_port() as port, connected(elsewhere("legacy", port)), caplog.at_level(logging.INFO):
        response = client.get("/readyz")

    assert response.json()["aliases"]["legacy"] == "down"
    assert "Alias 'legacy' is down: OperationalError." in caplog.text
    assert "127.0.0.1" not in response.content.decode()


@pytest.mark.usefixtures("service")
def test_verdict__concurrent_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request probes the aliases, and all other requests get its verdict."""
    monkeypatch.setattr(readiness, "VERDICT_TTL_SECONDS", 60.0)
    state, barrier, verdicts = Readiness(), threading.Barrier(8), []

    def ask() -> None:
        barrier.wait()
        verdicts.append(state.verdict())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(verdicts) == 8
    assert len(set(map(id, verdicts))) == 1


def queries() -> dict[Any, float]:
    """Return the counters of queries."""
    return {sample: value for sample, value in snapshot().items() if sample[0] == QUERIES}


@contextmanager
def unrecorded(alias: str, app: str) -> Iterator[None]:
    """Make the first migration of the app unapplied inside this block."""
    with connections[alias].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = %s", [app])
    try:
        yield
    finally:
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES (%s, '0001_initial', CURRENT_TIMESTAMP)",
                [app],
            )


def elsewhere(alias: str, port: int) -> dict[str, dict[str, Any]]:
    """Return the databases of the tests, with the alias on a PostgreSQL server behind this port."""
    server = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": port}
    return {name: connections[name].settings_dict for name in connections} | {alias: server}


@contextmanager
def hanging(alias: str, *, asked: bool = True) -> Iterator[socket.socket]:
    """Put the alias on a server that accepts connections and never answers, inside this block.

    The listener closes after the block, which ends the threads that wait. Without `asked` nobody may connect.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with connected(elsewhere(alias, listener.getsockname()[1])):
            yield listener
        if not asked:
            assert accepted(listener) == 0
    for thread in threading.enumerate():
        if thread.name.startswith("switchyard-health-"):
            thread.join(timeout=10)


def accepted(listener: socket.socket) -> int:
    """Return the number of connections that clients have opened since the last call. Each is closed."""
    listener.setblocking(False)
    opened = 0
    while True:
        try:
            client, _address = listener.accept()
        except BlockingIOError:
            return opened
        client.close()
        opened += 1


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port on which no process listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@pytest.fixture
def token() -> Iterator[dict[str, str]]:
    """The header of a client that may read /healthz."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "HEALTH_TOKENS": ["", "secret"]}):
        yield {"Authorization": "Bearer secret"}


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Bearer s", "Basic secret", "secret"])
def test_healthz__without_the_token(client: Client, token: dict[str, str], sent: str) -> None:
    """Nothing is shown."""
    response = client.get("/healthz", headers={"Authorization": sent})

    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert "aliases" not in response.json()


@override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, "HEALTH_TOKENS": "secret"})
def test_healthz__one_text_as_tokens(client: Client) -> None:
    """The text is the token, and not each of its letters."""
    assert client.get("/healthz", headers={"Authorization": "Bearer s"}).status_code == HTTPStatus.UNAUTHORIZED


@pytest.mark.usefixtures("service")
def test_healthz__embedded_databases(client: Client, token: dict[str, str]) -> None:
    """Each alias has its state, vendor and role; nothing else is known of a file."""
    response = client.get("/healthz", headers=token)

    assert (response.status_code, response.json()["status"]) == (HTTPStatus.OK, "ok")
    details = response.json()["aliases"]["replica"]
    assert {name: value for name, value in details.items() if value is not None} == {
        "state": "up",
        "vendor": "sqlite",
        "replica_of": "default",
    }


def test_healthz__of_the_monitor(client: Client, token: dict[str, str], watched: ProbedServers) -> None:
    """The monitor's knowledge of a server is shown, and of an error its class alone."""
    watched.owner_answers(5)
    watched.watch.probe.seconds = 0.00123456
    watched.watch.pending.count = 0
    watched.watch.evaluate()
    up = client.get("/healthz", headers=token).json()["aliases"]["analytics"]
    watched.watch.probe.error = PROBE_ERROR
    watched.watch.evaluate()
    down = client.get("/healthz", headers=token).json()["aliases"]["analytics"]

    assert (up["state"], up["server"], up["answer_seconds"], up["pending_migrations"]) == ("up", "no lag", 0.0012, 0)
    assert (down["state"], down["server"], down["error"]) == ("down", "down", "OperationalError")


@pytest.mark.usefixtures("service")
def test_startupz__once_migrated(client: Client) -> None:
    """503 until every required owner is migrated, and 200 from then on, whatever happens."""
    with unrecorded("analytics", "reporting"):
        before = client.get("/startupz").status_code
    after = client.get("/startupz").status_code
    with hanging("analytics", asked=False):
        later = client.get("/startupz").status_code

    assert (before, after, later) == (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.OK, HTTPStatus.OK)
