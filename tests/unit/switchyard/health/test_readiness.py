"""What the states of the aliases come to, and how /readyz says it."""

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
from django.core.management import call_command
from django.db import connections
from django.test import Client
from health_check.exceptions import ServiceUnavailable
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected

from config.databases import topology
from switchyard.health import readiness, views
from switchyard.health.checks import AliasCheck
from switchyard.health.probes import DEADLINE, AliasState, probe_of
from switchyard.health.readiness import Readiness, Status, judge
from switchyard.migrations import migrating
from switchyard.telemetry import snapshot
from switchyard.telemetry.families import QUERIES

UP, DOWN, UNMIGRATED = AliasState.UP, AliasState.DOWN, AliasState.UNMIGRATED


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test see what another one's probes found."""
    probe_of.cache_clear()
    monkeypatch.setattr(views, "_readiness", Readiness())
    monkeypatch.setattr(readiness, "REMEMBERED", 0.0)
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
    """The service on a copy of those files: a database in memory has no connections to close."""
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
def test_judge__of_states(
    default: AliasState, replica: AliasState, legacy: AliasState, before: Status, after: Status
) -> None:
    """An optional owner never makes the service unready, nor does a required one whose replica serves, once ready."""
    aliases = {"default": default, "replica": replica, "legacy": legacy}

    assert judge(aliases, optional=frozenset({"legacy"}), was_ready=False) is before
    assert judge(aliases, optional=frozenset({"legacy"}), was_ready=True) is after


def test_judge__of_a_required_owner_without_replica() -> None:
    """Its loss makes the service unready at any time."""
    assert judge({"default": UP, "legacy": DOWN}, optional=frozenset(), was_ready=True) is Status.UNAVAILABLE


@pytest.mark.usefixtures("service")
def test_readyz__of_the_migrated_service(client: Client) -> None:
    """All aliases are up, and nothing else is said."""
    response = client.get("/readyz")

    assert response.status_code == HTTPStatus.OK
    assert response.json() == {"status": "ok", "aliases": dict.fromkeys(connections, "up")}
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.usefixtures("service")
def test_readyz__in_the_counters(client: Client) -> None:
    """A probe is no volume: the counters stay as they were."""
    before = queries()

    client.get("/readyz")

    assert queries() == before


@pytest.mark.usefixtures("service")
def test_readyz__with_migrations_to_apply(client: Client) -> None:
    """The service is not ready until they are applied."""
    with unrecorded("analytics", "reporting"):
        before = client.get("/readyz")
    after = client.get("/readyz")

    assert before.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert before.json()["status"] == "unavailable"
    assert before.json()["aliases"]["analytics"] == "unmigrated"
    assert after.status_code == HTTPStatus.OK


@pytest.mark.usefixtures("service")
def test_readyz__after_it_was_ready_once(client: Client) -> None:
    """Later migrations, of a newer release, do not take the running one out of service."""
    client.get("/readyz")
    with unrecorded("analytics", "reporting"):
        response = client.get("/readyz")

    assert response.status_code == HTTPStatus.OK


@pytest.mark.usefixtures("service")
def test_readyz__while_a_server_hangs(client: Client) -> None:
    """The answer comes within the deadline though the server takes connections and never says a word."""
    with hanging("analytics"):
        started = time.monotonic()
        response = client.get("/readyz")
        elapsed = time.monotonic() - started

    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert response.json()["aliases"]["analytics"] == "down"
    assert elapsed < DEADLINE + 0.5


@pytest.mark.usefixtures("service")
def test_ask__again_and_again_while_a_server_hangs() -> None:
    """One thread waits for it, however often it is asked."""
    with hanging("analytics"):
        answers = {id(AliasCheck(alias="analytics").ask()) for _ in range(20)}
        waiting = [thread for thread in threading.enumerate() if thread.name == "switchyard-health-analytics"]

    assert len(answers) == 1
    assert len(waiting) == 1


@pytest.mark.usefixtures("service")
def test_check__while_a_server_hangs(caplog: pytest.LogCaptureFixture) -> None:
    """The library's own views and commands have an answer in time, too, which names the alias and no host."""
    with hanging("analytics"), caplog.at_level(logging.CRITICAL):
        started = time.monotonic()
        result = asyncio.run(AliasCheck(alias="analytics").get_result())
        elapsed = time.monotonic() - started

    assert isinstance(result.error, ServiceUnavailable)
    assert str(result.error) == "Unavailable: analytics is down"
    assert elapsed < DEADLINE + 0.5


@pytest.mark.usefixtures("service")
def test_check__of_an_alias_that_is_up() -> None:
    """The library sees no error, and the alias as the check's label."""
    check = AliasCheck(alias="default")

    result = asyncio.run(check.get_result())

    assert result.error is None
    assert check.labels == {"check": "AliasCheck", "alias": "default"}


@pytest.mark.usefixtures("service")
def test_readyz__of_a_server_that_refuses(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """The body says that the alias is down; the log says with which error; neither names the host."""
    with closed_port() as port, connected(elsewhere("legacy", port)), caplog.at_level(logging.INFO):
        response = client.get("/readyz")

    assert response.json()["aliases"]["legacy"] == "down"
    assert "Alias 'legacy' is down: OperationalError." in caplog.text
    assert "127.0.0.1" not in response.content.decode()


@pytest.mark.usefixtures("service")
def test_verdict__for_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request asks, and all others get what it found."""
    monkeypatch.setattr(readiness, "REMEMBERED", 60.0)
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
    """Let the app's first migration be one that was not applied yet, in this block."""
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
    """Return the databases of the tests, one of them a PostgreSQL behind this port."""
    server = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": port}
    return {name: connections[name].settings_dict for name in connections} | {alias: server}


@contextmanager
def hanging(alias: str) -> Iterator[None]:
    """Put the alias on a server that takes connections and never answers, in this block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with connected(elsewhere(alias, listener.getsockname()[1])):
            yield
        taken, _address = listener.accept()
        taken.close()  # lets the waiting thread go
    for thread in threading.enumerate():
        if thread.name.startswith("switchyard-health-"):
            thread.join(timeout=10)


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]
