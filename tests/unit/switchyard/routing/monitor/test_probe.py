"""Askers: one server each, over connections that no wrapper sees, however long it hangs."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from tests.support.published import at

from switchyard.positions import ServerStatus
from switchyard.routing.monitor import probe
from switchyard.routing.monitor.probe import PROBE_TIMEOUT_SECONDS, ServerProbe


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The server of the alias `silent`: it accepts connections and never says a word."""
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


class Connection:
    """A driver's connection that answers, or raises."""

    def __init__(self, *, breaks: str = "") -> None:
        self.breaks = breaks
        self.closed = 0

    def cursor(self) -> "Connection":
        if self.breaks == "cursor":
            raise ConnectionResetError
        return self

    def close(self) -> None:
        self.closed += 1
        if self.breaks:
            raise OSError


class Dialect:
    @staticmethod
    def status(_cursor: Any) -> ServerStatus:
        return ServerStatus("a", is_standby=True, writable=False, position=at(5))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that askers have opened."""
    made: list[Connection] = []

    def own_connection(_alias: str, _vendor: str) -> Connection:
        made.append(Connection())
        return made[-1]

    monkeypatch.setattr(probe, "open_probe_connection", own_connection)
    monkeypatch.setattr(probe, "dialect_for", lambda *_: Dialect)
    return made


def test_ask__a_server_that_hangs(server: socket.socket) -> None:
    """Whoever looks sees how long the question waits, and need not wait for it."""
    asker = ServerProbe("silent")
    thread = threading.Thread(target=asker.probe)
    thread.start()
    held, _ = server.accept()  # the question is on its way, and nobody answers it
    with held:
        assert asker.pending_seconds(time.monotonic() + PROBE_TIMEOUT_SECONDS) > PROBE_TIMEOUT_SECONDS
        assert asker.last_sample is None
    thread.join()

    assert asker.pending_seconds(time.monotonic() + 60) == 0
    assert asker.error == "OperationalError when asked"


def test_ask__a_server_that_refuses(server: socket.socket) -> None:
    """The fault is the error's class, without a host's name."""
    server.close()
    asker = ServerProbe("silent")
    asker.probe()

    assert asker.error == "OperationalError when asked"
    assert asker.last_sample is None


def test_ask__leaves_the_threads_own_connection_alone(server: socket.socket) -> None:
    """It asks outside Django's connections: none is opened, and no pool is made."""
    server.close()
    ServerProbe("silent").probe()

    assert connections["silent"].connection is None
    assert "silent" not in connections["silent"]._connection_pools  # type: ignore[attr-defined]  # PostgreSQL's


def test_ask__again(opened: list[Connection]) -> None:
    """One connection serves all rounds, and the sample says when its question began."""
    asker = ServerProbe("replica")
    asker.probe()
    first, between = asker.last_sample, time.monotonic()
    asker.probe()

    assert first is not None
    assert asker.last_sample is not None
    assert first.begun_at < between < asker.last_sample.begun_at
    assert asker.last_sample.status.position == at(5)
    assert (asker.error, len(opened)) == ("", 1)


def test_ask__a_connection_that_broke(opened: list[Connection]) -> None:
    """It is closed, whatever that raises, and another one is opened; the last sample stands meanwhile."""
    asker = ServerProbe("replica")
    asker.probe()
    before = asker.last_sample
    opened[0].breaks = "cursor"
    asker.probe()
    assert (asker.error, asker.last_sample) == ("ConnectionResetError when asked", before)
    assert opened[0].closed
    asker.probe()

    assert (asker.error, len(opened)) == ("", 2)
    assert asker.last_sample is not before


def test_ask__a_fault_that_is_no_error(opened: list[Connection]) -> None:
    """The server answers; what was found is said."""
    asker = ServerProbe("replica", extra_check=lambda _cursor: "unmigrated")
    asker.probe()

    assert (asker.error, len(opened)) == ("unmigrated", 1)
    assert asker.last_sample is not None


def test_ask__a_server_that_comes_back_as_another(opened: list[Connection]) -> None:
    """Nobody sees the old answer without the fault: the new one stands before the fault is gone."""
    seen: list[str] = []

    class Watched(ServerProbe):
        def __setattr__(self, name: str, value: object) -> None:
            if name in {"last_sample", "error"}:
                seen.append(name)
            super().__setattr__(name, value)

    asker = Watched("replica")
    seen.clear()
    asker.probe()

    assert seen == ["last_sample", "error"]


def test_run__until_it_is_ended(opened: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks in rounds, and closes its connection in the end."""
    monkeypatch.setattr(probe, "PROBE_INTERVAL_SECONDS", 0.001)
    rounds, enough = [], threading.Event()

    def after(_cursor: Any) -> str:
        rounds.append(1)
        if len(rounds) > 3:
            enough.set()
        return ""

    asker = ServerProbe("replica", extra_check=after)
    asker.start()
    assert enough.wait(10)
    asker.stop()
    asker.join(10)

    assert not asker.is_alive()
    assert len(opened) == 1
    assert opened[0].closed > len(rounds)  # its cursors, and itself
