"""The servers behind one alias: found, asked each by one, and let in when they have what was read before."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.published import at, lagging

from switchyard.positions import ServerStatus
from switchyard.routing.monitor import discovery, probe, sockets
from switchyard.routing.monitor.discovery import (
    DISCOVERY_INTERVAL_SECONDS,
    MAX_ATTEMPTS,
    DiscoveryProbe,
    ServerDiscovery,
)
from switchyard.routing.monitor.probe import PROBE_INTERVAL_SECONDS, ServerProbe
from switchyard.routing.topology.replication import Sample, shared_aliases

START = 1000.0


class Balancer:
    """An address that leads each new connection to the next server."""

    def __init__(self) -> None:
        self.leads_to: list[str] = []
        self.opened: list[str] = []

    def open(self, _alias: str, _vendor: str) -> "Connection":
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
    """Where askers are led to."""
    made = Balancer()
    monkeypatch.setattr(probe, "open_probe_connection", made.open)
    monkeypatch.setattr(probe, "dialect_for", lambda *_: Dialect)
    monkeypatch.setattr(probe, "PROBE_INTERVAL_SECONDS", 0.001)
    return made


@pytest.fixture
def led_to(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The servers that requests are led to."""
    servers: set[str] = set()
    monkeypatch.setattr(sockets, "connected_servers", lambda _alias, beside: servers - beside)
    return servers


@pytest.fixture
def found(balancer: Balancer, led_to: set[str]) -> Iterator[ServerDiscovery]:
    """The servers behind `replica`, of which `a` is asked."""
    with lagging("replica"):
        balancer.leads_to = ["a"]
        first = ServerProbe("replica")
        first.probe()
        made = ServerDiscovery("replica", first, lambda: nothing)
        yield made
        made.stop()
        for seeker in made.discovered:
            seeker.join(10)


def sampled(at_time: float, lsn: int) -> Sample:
    return Sample(at_time, ServerStatus("owner", is_standby=False, writable=True, position=at(lsn)))


def seeker_of(*taken: str) -> DiscoveryProbe:
    return DiscoveryProbe("replica", lambda _seeker: set(taken), nothing)


def test_seeker__a_server_that_nobody_asks(balancer: Balancer) -> None:
    """It keeps the connection that leads there, and gives up those that lead elsewhere."""
    balancer.leads_to = ["a", "b"]
    seeker = seeker_of("a")
    seeker.probe()
    first = seeker.last_sample
    seeker.probe()
    seeker.probe()

    assert first is None
    assert seeker.last_sample is not None
    assert seeker.last_sample.status.server_id == "b"
    assert balancer.opened == ["a", "b"]


def test_seeker__no_other_server(balancer: Balancer) -> None:
    """It ends after a few connections."""
    balancer.leads_to = ["a"]
    seeker = seeker_of("a")
    seeker.start()
    seeker.join(10)

    assert not seeker.is_alive()
    assert balancer.opened == ["a"] * MAX_ATTEMPTS


def test_seek__another_server(found: ServerDiscovery, balancer: Balancer) -> None:
    """It is found without any request that was led there, and asked on."""
    balancer.leads_to = ["b", "a"]
    asked = threading.Event()
    found._after = lambda: lambda _cursor: asked.set() or ""
    found.discover(START)
    assert asked.wait(10)
    found.discovered[0].stop()
    found.discovered[0].join(10)

    assert {server for server, _ in found.probes()} == {"a", "b"}


def test_seek__now_and_then(found: ServerDiscovery, balancer: Balancer, led_to: set[str]) -> None:
    """One looks at a time; the next one when it is time, or when a request was led to a server that is new."""

    def looks(now: float) -> bool:
        found.discover(now)
        began = bool(found.discovered)
        for seeker in found.discovered:
            seeker.join(10)
        return began

    balancer.leads_to = ["a"]
    seen = [
        looks(START),
        looks(START + DISCOVERY_INTERVAL_SECONDS / 2),
        looks(START + DISCOVERY_INTERVAL_SECONDS),
        looks(START + DISCOVERY_INTERVAL_SECONDS),
    ]
    led_to.add("b")
    seen += [looks(START + DISCOVERY_INTERVAL_SECONDS), looks(START + DISCOVERY_INTERVAL_SECONDS)]

    assert seen == [True, False, True, False, True, False]


def test_seek__nobody_answers(found: ServerDiscovery) -> None:
    """Where the first is not answered, it is for the first to find a server."""
    found._first.error = "OperationalError when asked"
    found.discover(START)

    assert found.discovered == []


def test_seek__ended(found: ServerDiscovery) -> None:
    """No thread is begun any more."""
    found.stop()
    found.discover(START)

    assert found.discovered == []


def test_judge__shared(found: ServerDiscovery, led_to: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The alias is shared while there are several servers, and for a while after; strangers are those not asked."""
    assert (found.update(), "replica" in shared_aliases) == (False, False)
    led_to.add("b")
    assert (found.update(), "replica" in shared_aliases) == (True, True)
    led_to.clear()
    assert (found.update(), "replica" in shared_aliases) == (False, True)
    monkeypatch.setattr(discovery, "_SHARED_ALIAS_TTL_SECONDS", -1.0)

    assert (found.update(), "replica" in shared_aliases) == (False, False)


def lets_in(found: ServerDiscovery, server: str, lsn: int, owner: Sample | None, *, refused: bool = False) -> bool:
    return found.admits(server, at(lsn), owner, owner_unavailable=refused, now=START)


def test_lets_in__who_is_alone(found: ServerDiscovery) -> None:
    """The only server there ever was is read as it is."""
    assert lets_in(found, "a", 1, sampled(START, 9))


def test_lets_in__another_one(found: ServerDiscovery, led_to: set[str]) -> None:
    """It must have what the owner had a moment after it was met, and no more: the owner goes on."""
    led_to.update("ab")
    later = START + 2 * PROBE_INTERVAL_SECONDS
    assert not lets_in(found, "b", 9, sampled(START, 5))
    assert not lets_in(found, "b", 5, sampled(later, 6))
    assert not lets_in(found, "b", 5, sampled(later + 1, 8))
    assert lets_in(found, "b", 6, sampled(later + 2, 9))

    assert lets_in(found, "b", 6, sampled(later + 3, 10))


def test_lets_in__in_place_of_another(found: ServerDiscovery) -> None:
    """It is met by the one who asks, and is not taken for the one before."""
    assert lets_in(found, "a", 5, sampled(START, 5))
    found.update()
    found._first.last_sample = Sample(START, ServerStatus("b", is_standby=True, writable=False, position=at(4)))

    assert not lets_in(found, "b", 4, sampled(START, 5))


def test_lets_in__while_the_owner_is_down(found: ServerDiscovery, led_to: set[str]) -> None:
    """What the owner had when it was last asked is enough: there is nobody else to read from."""
    led_to.update("ab")

    assert not lets_in(found, "b", 4, sampled(START - 9, 5), refused=True)
    assert lets_in(found, "b", 5, sampled(START - 9, 5), refused=True)


def test_lets_in__one_that_comes_back(found: ServerDiscovery, led_to: set[str]) -> None:
    """It is as new as any."""
    later = sampled(START + 1, 5)
    led_to.update("ab")
    assert lets_in(found, "b", 5, later)
    led_to.discard("b")
    found.update()
    led_to.add("b")

    assert not lets_in(found, "b", 4, later)
