"""Where a connection of a shared alias leads, and who may read there."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import given
from hypothesis import strategies as st
from tests.support.published import at, lagging

from switchyard.routing import use_replica
from switchyard.routing.connections import server_identity
from switchyard.routing.monitor import sockets
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition, consistency_from
from switchyard.routing.session.context import activate, request_context
from switchyard.routing.topology.replication import Replica, ReplicationSet
from switchyard.routing.topology.replication import shared_aliases as aliases


class Driver:
    """A driver's connection that leads to a server, and counts how often it was asked."""

    def __init__(self, end: socket.socket, server: str) -> None:
        self.end = end
        self.server = server
        self.asked = 0
        self.autocommit = False
        self.seen: list[bool] = []

    def fileno(self) -> int:
        return self.end.fileno()

    def cursor(self) -> "Driver":
        return self

    def execute(self, _sql: str) -> None:
        self.asked += 1
        self.seen.append(self.autocommit)
        if not self.server:
            raise ConnectionResetError

    def fetchone(self) -> tuple[str]:
        return (self.server,)

    def close(self) -> None:
        """Do nothing: it is its own cursor."""


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """The set of one replica, whose server `a` is known and has come to 5."""
    with lagging("replica") as group:
        group.replace_snapshot([Replica("replica", "", at(5))], by_server={"a": Replica("replica", "", at(5))})
        yield group


@pytest.fixture
def end() -> Iterator[socket.socket]:
    """A socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def learnt(end: socket.socket, server: str) -> Driver:
    driver = Driver(end, server)
    sockets.track("replica", driver)
    server_identity.identify("replica", "postgresql", driver)
    return driver


def test_learn__once(group: ReplicationSet, end: socket.socket) -> None:
    """A connection is asked when it is opened, outside of a transaction, and not when it is taken from a pool again."""
    driver = learnt(end, "a")
    sockets.track("replica", driver)
    server_identity.identify("replica", "postgresql", driver)

    assert sockets.server_of("replica", driver) == "a"
    assert (driver.asked, driver.seen, driver.autocommit) == (1, [True], False)


def test_learn__the_known_server(group: ReplicationSet, end: socket.socket) -> None:
    """The alias is as it was."""
    driver = learnt(end, "a")

    assert driver.asked == 1
    assert "replica" not in aliases


def test_learn__another_server(group: ReplicationSet, end: socket.socket) -> None:
    """The alias is shared from then on, before anything is read; nobody is told so after the set was forgotten."""
    driver = learnt(end, "b")
    assert driver.asked == 1
    assert "replica" in aliases
    group.reset()

    assert "replica" not in aliases


def test_learn__before_any_answer(end: socket.socket) -> None:
    """Where nobody asks the servers, or not yet, a second one is no reason to keep away from the replica."""
    with lagging("replica"):
        driver = learnt(end, "b")

        assert driver.asked == 1
        assert "replica" not in aliases


def test_learn__a_connection_that_breaks(group: ReplicationSet, end: socket.socket) -> None:
    """Its error is for those who use it; where it leads is not known."""
    driver = learnt(end, "")

    assert sockets.server_of("replica", driver) == ""
    assert not driver.autocommit


@pytest.mark.parametrize(("alias", "vendor"), [("default", "postgresql"), ("replica", "sqlite")])
def test_learn__what_is_no_replica_that_lags(
    alias: str, vendor: str, group: ReplicationSet, end: socket.socket
) -> None:
    """It is not asked."""
    driver = Driver(end, "b")
    server_identity.identify(alias, vendor, driver)

    assert driver.asked == 0


def strays(driver: Any, ledger: ConsistencyState) -> bool:
    connection: BaseDatabaseWrapper = connections["replica"].copy()
    connection.connection = driver
    with activate(request_context(consistency=ledger)):
        return server_identity.may_be_stale(connection)


@pytest.mark.parametrize(
    ("server", "reason", "ledger", "expected"),
    [
        ("a", "", ConsistencyState(), False),
        ("a", "", consistency_from({"default": at(5)}), False),
        ("a", "", consistency_from({"default": at(6)}), True),
        ("a", "", consistency_from({"default": None}), True),
        ("a", "lagging", ConsistencyState(), True),
        ("b", "", ConsistencyState(), True),
        ("", "", ConsistencyState(), True),
    ],
)
def test_strays__by_what_is_known_of_the_server(
    server: str, reason: str, ledger: ConsistencyState, group: ReplicationSet, end: socket.socket, *, expected: bool
) -> None:
    """Read is a server that is known, fit, and has what is owed; what the alias is said to have is another's."""
    group.replace_snapshot([Replica("replica", "", at(9))], by_server={"a": Replica("replica", reason, at(5))})

    assert strays(learnt(end, server), ledger) is expected


def test_strays__the_server_read_last(group: ReplicationSet, end: socket.socket) -> None:
    """It is read on; another one, though it is as far by now, bounds nothing of what was seen there."""
    group.replace_snapshot(
        [Replica("replica", "", at(5))], by_server=dict.fromkeys("ab", Replica("replica", "", at(5)))
    )
    driver, ledger = learnt(end, "a"), ConsistencyState()
    assert not strays(driver, ledger)
    assert ledger.last_server == {"default": "a"}
    sockets.set_server("replica", driver, "b")
    assert strays(driver, ledger)
    ledger.require("default", at(4))

    assert not strays(driver, ledger)
    assert ledger.last_server == {"default": "b"}


def test_strays__a_report(group: ReplicationSet, end: socket.socket) -> None:
    """It tolerates lag, on any server."""
    connection = connections["replica"].copy()
    connection.connection = learnt(end, "b")
    with activate(request_context()), use_replica():
        assert not server_identity.may_be_stale(connection)


def test_strays__a_closed_connection(group: ReplicationSet) -> None:
    """It leads nowhere yet."""
    assert not strays(None, ConsistencyState())


@given(
    owed=st.one_of(st.none(), st.integers(1, 4)),
    last=st.sampled_from(["", "a", "b"]),
    has=st.fixed_dictionaries({"a": st.integers(1, 4), "b": st.integers(1, 4)}),
    server=st.sampled_from(["a", "b"]),
)
def test_strays__never_behind(owed: int | None, last: str, has: dict[str, int], server: str) -> None:
    """Whoever may read has what is owed there, and reads where it read before."""
    ours, theirs = socket.socketpair()
    with ours, theirs, lagging("replica") as group:
        group.replace_snapshot([], by_server={each: Replica("replica", "", at(lsn)) for each, lsn in has.items()})
        ledger = consistency_from({} if owed is None else {"default": at(owed)})
        if last:
            ledger.last_server["default"] = last
        found = strays(learnt(ours, server), ledger)

        assert found == ((owed or 0) > has[server] or (last or server) != server)


def test_strays__what_has_no_position_yet(group: ReplicationSet, end: socket.socket) -> None:
    """A write whose position nobody knows is owed everywhere."""
    ledger = ConsistencyState()
    ledger.require("default", PendingPosition(0.0))

    assert strays(learnt(end, "a"), ledger)
