"""The other servers behind one alias: their discovery, their probes and their admission."""

import threading
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
from django.db import connections
from tests.support.published import at, lagging

from switchyard.positions import ServerStatus
from switchyard.routing.monitor import sockets
from switchyard.routing.monitor.probes import discovery, probe
from switchyard.routing.monitor.probes.discovery import (
    DISCOVERY_INTERVAL_SECONDS,
    MAX_ATTEMPTS,
    DiscoveryProbe,
    ServerDiscovery,
)
from switchyard.routing.monitor.probes.probe import PROBE_INTERVAL_SECONDS, ServerProbe
from switchyard.routing.topology.replication import Sample, replication_set, shared_aliases

START = 1000.0


class Balancer:
    """An address that leads each new connection to the next server."""

    def __init__(self) -> None:
        self.leads_to: list[str] = []
        self.opened: list[str] = []

    def open(self, _alias: str, _vendor: str, **_options: bool) -> "Connection":
        server = self.leads_to.pop(0)
        self.leads_to.append(server)
        self.opened.append(server)
        return Connection(server)


class Connection:
    def __init__(self, server: str) -> None:
        self.server = server

    def cursor(self) -> "Connection":
        return self

    def close(self) -> None:
        """Do nothing."""


class Dialect:
    @staticmethod
    def status(cursor: Connection) -> ServerStatus:
        return ServerStatus(cursor.server, is_standby=True, writable=False, position=at(5))


def nothing(_cursor: Any) -> str:
    return ""


@pytest.fixture
def balancer(monkeypatch: pytest.MonkeyPatch) -> Balancer:
    """The address that probes connect to."""
    made = Balancer()
    monkeypatch.setattr(probe, "open_probe_connection", made.open)
    monkeypatch.setattr(probe, "dialect_for", lambda *_: Dialect)
    monkeypatch.setattr(probe, "PROBE_INTERVAL_SECONDS", 0.001)
    return made


@pytest.fixture
def led_to(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The servers that connections of requests lead to."""
    servers: set[str] = set()
    monkeypatch.setattr(sockets, "connected_servers", lambda _alias, excluded: servers - excluded)
    return servers


@pytest.fixture
def found(balancer: Balancer, led_to: set[str]) -> Iterator[ServerDiscovery]:
    """The servers behind `replica`, of which `a` has the first probe."""
    with lagging("replica"):
        balancer.leads_to = ["a"]
        first = ServerProbe("replica")
        first.probe()
        made = ServerDiscovery("replica", first, lambda: nothing)
        yield made
        made.stop()
        for discovery_probe in made.discovered:
            discovery_probe.join(10)


def sampled(at_time: float, lsn: int) -> Sample:
    return Sample(at_time, ServerStatus("owner", is_standby=False, writable=True, position=at(lsn)))


def probe_claiming(*claimed: str) -> DiscoveryProbe:
    return DiscoveryProbe("replica", lambda _probe: set(claimed), nothing)


def test_discovery_probe__an_unprobed_server(balancer: Balancer) -> None:
    """The probe keeps a connection to an unprobed server, and gives up connections to other servers."""
    balancer.leads_to = ["a", "b"]
    discovery_probe = probe_claiming("a")
    discovery_probe.probe()
    first = discovery_probe.last_sample
    discovery_probe.probe()
    discovery_probe.probe()

    assert first is None
    assert discovery_probe.last_sample is not None
    assert discovery_probe.last_sample.status.server_id == "b"
    assert balancer.opened == ["a", "b"]


def test_discovery_probe__no_other_server(balancer: Balancer) -> None:
    """The probe ends after MAX_ATTEMPTS connections."""
    balancer.leads_to = ["a"]
    discovery_probe = probe_claiming("a")
    discovery_probe.start()
    discovery_probe.join(10)

    assert not discovery_probe.is_alive()
    assert balancer.opened == ["a"] * MAX_ATTEMPTS


def test_update__a_pooler_that_leads_to_several_servers(
    found: ServerDiscovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alias is shared from the start, and stays shared, if its settings say so."""
    monkeypatch.setitem(connections.settings["replica"], "SHARED", True)
    replication_set("default").reset()
    try:
        found.update()
        assert shared_aliases["replica"] == inf
    finally:
        shared_aliases.pop("replica")


def test_discover__another_server(found: ServerDiscovery, balancer: Balancer) -> None:
    """Another server is found without a request that reached it, and is probed from then on."""
    balancer.leads_to = ["b", "a"]
    asked = threading.Event()
    found._make_check = lambda: lambda _cursor: asked.set() or ""
    found.discover(START)
    assert asked.wait(10)
    found.discovered[0].stop()
    found.discovered[0].join(10)

    assert {server for server, _ in found.probes()} == {"a", "b"}


def test_discover__intervals(found: ServerDiscovery, balancer: Balancer, led_to: set[str]) -> None:
    """One search runs at a time; the next begins after the interval, or when a request reached a new server."""

    def searches(now: float) -> bool:
        found.discover(now)
        began = bool(found.discovered)
        for discovery_probe in found.discovered:
            discovery_probe.join(10)
        return began

    balancer.leads_to = ["a"]
    seen = [
        searches(START),
        searches(START + DISCOVERY_INTERVAL_SECONDS / 2),
        searches(START + DISCOVERY_INTERVAL_SECONDS),
        searches(START + DISCOVERY_INTERVAL_SECONDS),
    ]
    led_to.add("b")
    seen += [searches(START + DISCOVERY_INTERVAL_SECONDS), searches(START + DISCOVERY_INTERVAL_SECONDS)]

    assert seen == [True, False, True, False, True, False]


def test_discover__no_answer_of_the_first_server(found: ServerDiscovery) -> None:
    """While the first probe has an error, no search begins."""
    found._first_probe.error = "OperationalError when asked"
    found.discover(START)

    assert found.discovered == []


def test_discover__stopped(found: ServerDiscovery) -> None:
    """After stop() no search begins."""
    found.stop()
    found.discover(START)

    assert found.discovered == []


def test_update__shared_alias(found: ServerDiscovery, led_to: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The alias is shared while it has several servers and for a time after; True means a server without a probe."""
    assert (found.update(), "replica" in shared_aliases) == (False, False)
    led_to.add("b")
    assert (found.update(), "replica" in shared_aliases) == (True, True)
    led_to.clear()
    assert (found.update(), "replica" in shared_aliases) == (False, True)
    monkeypatch.setattr(discovery, "_SHARED_ALIAS_TTL_SECONDS", -1.0)

    assert (found.update(), "replica" in shared_aliases) == (False, False)


def admits(found: ServerDiscovery, server: str, lsn: int, owner: Sample | None, *, owner_down: bool = False) -> bool:
    return found.admits(server, at(lsn), owner, owner_unavailable=owner_down, now=START)


def test_admits__the_only_server(found: ServerDiscovery) -> None:
    """The only server that was ever seen is admitted at once."""
    assert admits(found, "a", 1, sampled(START, 9))


def test_admits__another_server(found: ServerDiscovery, led_to: set[str]) -> None:
    """Another server must reach the owner's position at the time it was first seen, and no later position."""
    led_to.update("ab")
    later = START + 2 * PROBE_INTERVAL_SECONDS
    assert not admits(found, "b", 9, sampled(START, 5))
    assert not admits(found, "b", 5, sampled(later, 6))
    assert not admits(found, "b", 5, sampled(later + 1, 8))
    assert admits(found, "b", 6, sampled(later + 2, 9))

    assert admits(found, "b", 6, sampled(later + 3, 10))


def test_admits__a_server_that_replaces_another(found: ServerDiscovery) -> None:
    """A new server at the address of the first probe must catch up too."""
    assert admits(found, "a", 5, sampled(START, 5))
    found.update()
    found._first_probe.last_sample = Sample(START, ServerStatus("b", is_standby=True, writable=False, position=at(4)))

    assert not admits(found, "b", 4, sampled(START, 5))


def test_admits__while_the_owner_is_down(found: ServerDiscovery, led_to: set[str]) -> None:
    """The last known position of the owner is enough."""
    led_to.update("ab")

    assert not admits(found, "b", 4, sampled(START - 9, 5), owner_down=True)
    assert admits(found, "b", 5, sampled(START - 9, 5), owner_down=True)


def test_admits__a_server_that_returns(found: ServerDiscovery, led_to: set[str]) -> None:
    """A server that returns must catch up again."""
    later = sampled(START + 1, 5)
    led_to.update("ab")
    assert admits(found, "b", 5, later)
    led_to.discard("b")
    found.update()
    led_to.add("b")

    assert not admits(found, "b", 4, later)
