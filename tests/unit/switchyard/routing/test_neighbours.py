"""The servers behind one alias: found, asked each by one, and let in when they have what was read before."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.published import at, lagging

from switchyard.routing import asking, live, neighbours
from switchyard.routing.asking import ROUND, Asker
from switchyard.routing.neighbours import LOOK, TRIES, Neighbours, Seeker
from switchyard.routing.positions import Answer
from switchyard.routing.servers import Sample, shared

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
    def ask(cursor: Connection) -> Answer:
        return Answer(cursor.server, follows=True, writable=False, position=at(5))


def nothing(_cursor: Any) -> str:
    return ""


@pytest.fixture
def balancer(monkeypatch: pytest.MonkeyPatch) -> Balancer:
    """Where askers are led to."""
    made = Balancer()
    monkeypatch.setattr(asking, "own_connection", made.open)
    monkeypatch.setattr(asking, "dialect_of", lambda *_: Dialect)
    monkeypatch.setattr(asking, "ROUND", 0.001)
    return made


@pytest.fixture
def led_to(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The servers that requests are led to."""
    servers: set[str] = set()
    monkeypatch.setattr(live, "servers", lambda _alias, beside: servers - beside)
    return servers


@pytest.fixture
def found(balancer: Balancer, led_to: set[str]) -> Iterator[Neighbours]:
    """The servers behind `replica`, of which `a` is asked."""
    with lagging("replica"):
        balancer.leads_to = ["a"]
        first = Asker("replica")
        first.ask()
        made = Neighbours("replica", first, lambda: nothing)
        yield made
        made.end()
        for seeker in made.seekers:
            seeker.join(10)


def sampled(at_time: float, lsn: int) -> Sample:
    return Sample(at_time, Answer("owner", follows=False, writable=True, position=at(lsn)))


def seeker_of(*taken: str) -> Seeker:
    return Seeker("replica", lambda _seeker: set(taken), nothing)


def test_seeker__a_server_that_nobody_asks(balancer: Balancer) -> None:
    """It keeps the connection that leads there, and gives up those that lead elsewhere."""
    balancer.leads_to = ["a", "b"]
    seeker = seeker_of("a")
    seeker.ask()
    first = seeker.sample
    seeker.ask()
    seeker.ask()

    assert first is None
    assert seeker.sample is not None
    assert seeker.sample.answer.server == "b"
    assert balancer.opened == ["a", "b"]


def test_seeker__no_other_server(balancer: Balancer) -> None:
    """It ends after a few connections."""
    balancer.leads_to = ["a"]
    seeker = seeker_of("a")
    seeker.start()
    seeker.join(10)

    assert not seeker.is_alive()
    assert balancer.opened == ["a"] * TRIES


def test_seek__another_server(found: Neighbours, balancer: Balancer) -> None:
    """It is found without any request that was led there, and asked on."""
    balancer.leads_to = ["b", "a"]
    asked = threading.Event()
    found._after = lambda: lambda _cursor: asked.set() or ""
    found.seek(START)
    assert asked.wait(10)
    found.seekers[0].end()
    found.seekers[0].join(10)

    assert {server for server, _ in found.askers()} == {"a", "b"}


def test_seek__now_and_then(found: Neighbours, balancer: Balancer, led_to: set[str]) -> None:
    """One looks at a time; the next one when it is time, or when a request was led to a server that is new."""

    def looks(now: float) -> bool:
        found.seek(now)
        began = bool(found.seekers)
        for seeker in found.seekers:
            seeker.join(10)
        return began

    balancer.leads_to = ["a"]
    seen = [looks(START), looks(START + LOOK / 2), looks(START + LOOK), looks(START + LOOK)]
    led_to.add("b")
    seen += [looks(START + LOOK), looks(START + LOOK)]

    assert seen == [True, False, True, False, True, False]


def test_seek__nobody_answers(found: Neighbours) -> None:
    """Where the first is not answered, it is for the first to find a server."""
    found._first.fault = "OperationalError when asked"
    found.seek(START)

    assert found.seekers == []


def test_seek__ended(found: Neighbours) -> None:
    """No thread is begun any more."""
    found.end()
    found.seek(START)

    assert found.seekers == []


def test_judge__shared(found: Neighbours, led_to: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The alias is shared while there are several servers, and for a while after; strangers are those not asked."""
    assert (found.judge(), "replica" in shared) == (False, False)
    led_to.add("b")
    assert (found.judge(), "replica" in shared) == (True, True)
    led_to.clear()
    assert (found.judge(), "replica" in shared) == (False, True)
    monkeypatch.setattr(neighbours, "_KEPT", -1.0)

    assert (found.judge(), "replica" in shared) == (False, False)


def lets_in(found: Neighbours, server: str, lsn: int, owner: Sample | None, *, refused: bool = False) -> bool:
    return found.lets_in(server, at(lsn), owner, refused=refused, now=START)


def test_lets_in__who_is_alone(found: Neighbours) -> None:
    """The only server there ever was is read as it is."""
    assert lets_in(found, "a", 1, sampled(START, 9))


def test_lets_in__another_one(found: Neighbours, led_to: set[str]) -> None:
    """It must have what the owner had a moment after it was met, and no more: the owner goes on."""
    led_to.update("ab")
    later = START + 2 * ROUND
    assert not lets_in(found, "b", 9, sampled(START, 5))
    assert not lets_in(found, "b", 5, sampled(later, 6))
    assert not lets_in(found, "b", 5, sampled(later + 1, 8))
    assert lets_in(found, "b", 6, sampled(later + 2, 9))

    assert lets_in(found, "b", 6, sampled(later + 3, 10))


def test_lets_in__in_place_of_another(found: Neighbours) -> None:
    """It is met by the one who asks, and is not taken for the one before."""
    assert lets_in(found, "a", 5, sampled(START, 5))
    found.judge()
    found._first.sample = Sample(START, Answer("b", follows=True, writable=False, position=at(4)))

    assert not lets_in(found, "b", 4, sampled(START, 5))


def test_lets_in__while_the_owner_is_down(found: Neighbours, led_to: set[str]) -> None:
    """What the owner had when it was last asked is enough: there is nobody else to read from."""
    led_to.update("ab")

    assert not lets_in(found, "b", 4, sampled(START - 9, 5), refused=True)
    assert lets_in(found, "b", 5, sampled(START - 9, 5), refused=True)


def test_lets_in__one_that_comes_back(found: Neighbours, led_to: set[str]) -> None:
    """It is as new as any."""
    later = sampled(START + 1, 5)
    led_to.update("ab")
    assert lets_in(found, "b", 5, later)
    led_to.discard("b")
    found.judge()
    led_to.add("b")

    assert not lets_in(found, "b", 4, later)
