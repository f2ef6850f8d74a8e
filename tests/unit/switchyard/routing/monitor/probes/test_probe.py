"""Probes: each asks one server over a connection outside Django's, and may hang with its server."""

import socket
import threading
import time
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
from django.db import connections
from django.db.backends.postgresql import base
from tests.support.published import at
from tests.support.waiting import until

from switchyard.positions import ServerStatus
from switchyard.routing.monitor.probes import probe
from switchyard.routing.monitor.probes.probe import PROBE_TIMEOUT_SECONDS, ServerProbe


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The server of the alias `silent`: it accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections.settings["silent"] = {
            **connections.settings["default"],
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "x",
            "HOST": "127.0.0.1",
            "PORT": str(server.getsockname()[1]),
            "USER": "x",
            "OPTIONS": {"pool": True},
        }
        yield server
        del connections.settings["silent"]


class AdminShutdownError(Exception):
    """The driver's error of a session that PostgreSQL has ended, because it shuts down or by a command."""

    sqlstate = "57P01"


class Connection:
    """A driver connection that answers, or raises."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.error = error
        self.closed = 0
        self.executed: list[str] = []

    def cursor(self) -> "Connection":
        if self.error is not None:
            raise self.error
        return self

    def execute(self, sql: str) -> None:
        self.executed.append(sql)

    def fetchone(self) -> tuple[int]:
        return (1,)

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise OSError


class Dialect:
    @staticmethod
    def status(_cursor: Any) -> ServerStatus:
        return ServerStatus("a", is_standby=True, writable=False, position=at(5))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that probes have opened."""
    made: list[Connection] = []

    def own_connection(_alias: str, _vendor: str, **_options: bool) -> Connection:
        made.append(Connection())
        return made[-1]

    monkeypatch.setattr(probe, "open_probe_connection", own_connection)
    monkeypatch.setattr(probe, "dialect_for", lambda *_: Dialect)
    return made


def test_probe__a_server_that_hangs(server: socket.socket) -> None:
    """The age of a probe can be read without waiting for the probe."""
    server_probe = ServerProbe("silent")
    thread = threading.Thread(target=server_probe.probe)
    thread.start()
    held, _ = server.accept()  # the probe waits for an answer
    with held:
        assert server_probe.pending_seconds(time.monotonic() + PROBE_TIMEOUT_SECONDS) > PROBE_TIMEOUT_SECONDS
        assert server_probe.last_sample is None
    thread.join()

    assert server_probe.pending_seconds(time.monotonic() + 60) == 0
    assert server_probe.error == "OperationalError when asked"


def test_probe__a_server_that_refuses(server: socket.socket) -> None:
    """The error is the class of the exception, without a host."""
    server.close()
    server_probe = ServerProbe("silent")
    server_probe.probe()

    assert server_probe.error == "OperationalError when asked"
    assert server_probe.last_sample is None


def test_probe__outside_djangos_connections(server: socket.socket) -> None:
    """No connection of Django is opened, and no pool is created."""
    server.close()
    ServerProbe("silent").probe()

    assert connections["silent"].connection is None
    assert "silent" not in connections["silent"]._connection_pools  # type: ignore[attr-defined]  # PostgreSQL's


def test_probe__engine_of_another_package(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine gives the parameters, and neither its connections nor its cursors are used: it may count them."""
    asked: list[str] = []

    class DatabaseWrapper(base.DatabaseWrapper):
        def get_connection_params(self) -> Any:
            asked.append("parameters")
            return super().get_connection_params() | {"cursor_factory": lambda *_: asked.append("cursor")}

        def get_new_connection(self, conn_params: Any) -> Any:
            asked.append("connection")
            return super().get_new_connection(conn_params)

    class Engine:
        pass

    Engine.DatabaseWrapper = DatabaseWrapper  # type: ignore[attr-defined]
    monkeypatch.setattr(probe, "load_backend", lambda _name: Engine)
    parameters: dict[str, Any] = {}
    monkeypatch.setattr(base.Database, "connect", lambda **given: parameters.update(given) or Connection())
    probe.open_probe_connection("silent", "postgresql")

    assert asked == ["parameters"]
    assert (parameters["user"], parameters["connect_timeout"]) == ("x", 2)
    assert "cursor_factory" not in parameters


def test_can_probe__engines() -> None:
    """An engine that derives from Django's own can be probed; the time-outs of another driver are unknown."""
    connections.settings["other"] = {**connections.settings["default"], "ENGINE": "django.db.backends.dummy"}
    try:
        assert not probe.can_probe("other")
    finally:
        del connections.settings["other"]


def test_probe__without_positions(opened: list[Connection]) -> None:
    """An owner without replicas is asked for an answer only, because some servers keep no positions."""
    server_probe = ServerProbe("analytics", ask=probe.ping)
    server_probe.probe()

    assert server_probe.last_sample is not None
    assert server_probe.last_sample.status == ServerStatus("", is_standby=False, writable=True, position=None)
    assert opened[0].executed == ["SELECT 1 /* switchyard */"]


@pytest.mark.parametrize(
    ("forgiven", "pending_seconds"),
    [
        ([(inf, 160.0)], 0.5),
        ([(0.25, 160.0)], 60.25),
        ([(0.25, 130.0), (0.25, 160.0)], 60.0),
        ([(90.0, 160.0)], 0.5),  # more than its age: the process stood still before it began, too
        ([], 60.5),
    ],
)
def test_pending_seconds__forgiven(forgiven: list[tuple[float, float]], pending_seconds: float) -> None:
    """The age of a running probe is without the time in which this process did not run."""
    server_probe = ServerProbe("replica")
    server_probe.forgive(5.0, 90.0)  # no probe runs
    server_probe._began_at = 100.0
    for seconds, now in forgiven:
        server_probe.forgive(seconds, now)

    assert server_probe.pending_seconds(160.5) == pending_seconds


def test_probe__again(opened: list[Connection]) -> None:
    """All probes use one connection, and each sample has the time of its beginning."""
    server_probe = ServerProbe("replica")
    server_probe.probe()
    first, between = server_probe.last_sample, time.monotonic()
    server_probe.probe()

    assert first is not None
    assert server_probe.last_sample is not None
    assert first.begun_at < between < server_probe.last_sample.begun_at
    assert server_probe.last_sample.status.position == at(5)
    assert (server_probe.error, len(opened)) == ("", 1)


def test_probe__a_connection_that_somebody_closed(opened: list[Connection]) -> None:
    """A lost connection is no fault of the server: the same probe asks again, over a new connection."""
    server_probe = ServerProbe("replica")
    server_probe.probe()
    before = server_probe.last_sample
    opened[0].error = ConnectionResetError()
    server_probe.probe()

    assert (server_probe.error, len(opened)) == ("", 2)
    assert opened[0].closed
    assert server_probe.last_sample is not before


def test_probe__a_server_that_closes_connections(opened: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new connection fails as well, the probe has the error, and the last sample is kept."""
    server_probe = ServerProbe("replica")
    server_probe.probe()
    before = server_probe.last_sample
    opened[0].error = ConnectionResetError()
    monkeypatch.setattr(probe, "open_probe_connection", lambda *_, **_options: Connection(error=ConnectionResetError()))
    server_probe.probe()
    server_probe.probe()

    assert (server_probe.error, server_probe.last_sample) == ("ConnectionResetError when asked", before)


@pytest.mark.parametrize(
    ("ended", "refused"),
    [
        (AdminShutdownError(), ConnectionResetError()),
        (ConnectionResetError(), ConnectionRefusedError("FATAL:  the database system is shutting down")),
    ],
    ids=["the session is told", "new sessions are told"],
)
def test_shut_down__until_the_next_answer(
    opened: list[Connection], monkeypatch: pytest.MonkeyPatch, ended: Exception, refused: Exception
) -> None:
    """A server that says so and takes no new session was shut down, until it answers again."""
    server_probe = ServerProbe("replica")
    server_probe.probe()
    opened[0].error = ended
    with monkeypatch.context() as patched:
        patched.setattr(probe, "open_probe_connection", lambda *_, **_options: Connection(error=refused))
        server_probe.probe()
        server_probe.probe()
        away = server_probe.shut_down
    server_probe.probe()

    assert away
    assert not server_probe.shut_down


@pytest.mark.parametrize("error", [AdminShutdownError(), ConnectionResetError()], ids=repr)
def test_shut_down__an_ended_session(opened: list[Connection], error: Exception) -> None:
    """A server that takes a new session at once was not shut down."""
    server_probe = ServerProbe("replica")
    server_probe.probe()
    opened[0].error = error
    server_probe.probe()

    assert (len(opened), server_probe.shut_down) == (2, False)


def test_probe__extra_check(opened: list[Connection]) -> None:
    """The reason of the extra check becomes the error, and the sample is kept."""
    server_probe = ServerProbe("replica", extra_check=lambda _cursor: "unmigrated")
    server_probe.probe()

    assert (server_probe.error, len(opened)) == ("unmigrated", 1)
    assert server_probe.last_sample is not None


def test_probe__order_of_assignments(opened: list[Connection]) -> None:
    """The new sample is set before the error is cleared, so that no thread sees the old sample without its error."""
    seen: list[str] = []

    class Watched(ServerProbe):
        def __setattr__(self, name: str, value: object) -> None:
            if name in {"last_sample", "error"}:
                seen.append(name)
            super().__setattr__(name, value)

    server_probe = Watched("replica")
    seen.clear()
    server_probe.probe()

    assert seen == ["last_sample", "error"]


def test_run__until_stop(opened: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread probes in each interval, and closes its connection at its end."""
    monkeypatch.setattr(probe, "PROBE_INTERVAL_SECONDS", 0.001)
    probes, enough = [], threading.Event()

    def check(_cursor: Any) -> str:
        probes.append(1)
        if len(probes) > 3:
            enough.set()
        return ""

    server_probe = ServerProbe("replica", extra_check=check)
    server_probe.start()
    assert enough.wait(10)
    server_probe.stop()
    server_probe.join(10)

    assert not server_probe.is_alive()
    assert len(opened) == 1
    assert opened[0].closed > len(probes)  # its cursors, and the connection itself


def test_run__paused(opened: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    """A paused thread closes its connection and asks nobody; it asks again over another connection, or ends."""
    monkeypatch.setattr(probe, "PROBE_INTERVAL_SECONDS", 0.001)
    asked = threading.Semaphore(0)

    def check(_cursor: Any) -> str:
        asked.release()
        return ""

    server_probe = ServerProbe("replica", extra_check=check)
    server_probe.start()
    assert asked.acquire(timeout=10)
    server_probe.pause()
    until(lambda: server_probe._connection is None, "the connection is closed")
    while asked.acquire(blocking=False):
        pass
    assert not asked.acquire(timeout=0.05)
    server_probe.start()
    assert asked.acquire(timeout=10)
    server_probe.pause()
    server_probe.stop()
    server_probe.join(10)

    assert len(opened) == 2
    assert not server_probe.is_alive()
