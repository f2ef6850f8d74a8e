"""Which server a connection of a shared alias leads to, and who may read there."""

import socket
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import given
from hypothesis import strategies as st
from tests.support.published import at, consistency_from, lagging

from switchyard.positions import Position
from switchyard.routing import use_replica
from switchyard.routing.connections import server_identity
from switchyard.routing.monitor import sockets
from switchyard.routing.session.consistency import ConsistencyState, PendingPosition
from switchyard.routing.session.context import activate, request_context
from switchyard.routing.topology.replication import Replica, ReplicationSet
from switchyard.routing.topology.replication import shared_aliases as aliases


class Driver:
    """A driver connection that leads to a server, and counts its queries."""

    def __init__(self, end: socket.socket, server: str) -> None:
        self.end = end
        self.server = server
        self.queries = 0
        self.autocommit = False
        self.autocommit_seen: list[bool] = []

    def fileno(self) -> int:
        return self.end.fileno()

    def cursor(self) -> "Driver":
        return self

    def execute(self, _sql: str) -> None:
        self.queries += 1
        self.autocommit_seen.append(self.autocommit)
        if not self.server:
            raise ConnectionResetError

    def fetchone(self) -> tuple[str]:
        return (self.server,)

    def close(self) -> None:
        """Do nothing: the connection is also the cursor."""


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """The replication set of one replica, whose server `a` is known and has replayed 5."""
    with lagging("replica") as group:
        group.replace_snapshot([Replica("replica", "", at(5))], by_server={"a": Replica("replica", "", at(5))})
        yield group


@pytest.fixture
def end() -> Iterator[socket.socket]:
    """A socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def identified(end: socket.socket, server: str) -> Driver:
    driver = Driver(end, server)
    sockets.track("replica", driver)
    server_identity.identify("replica", "postgresql", driver)
    return driver


def test_identify__once(group: ReplicationSet, end: socket.socket) -> None:
    """One query outside a transaction when the connection opens, and none when it comes from a pool again."""
    driver = identified(end, "a")
    sockets.track("replica", driver)
    server_identity.identify("replica", "postgresql", driver)

    assert sockets.server_of("replica", driver) == "a"
    assert (driver.queries, driver.autocommit_seen, driver.autocommit) == (1, [True], False)


def test_identify__the_known_server(group: ReplicationSet, end: socket.socket) -> None:
    """The alias does not become shared."""
    driver = identified(end, "a")

    assert driver.queries == 1
    assert "replica" not in aliases


def test_identify__behind_a_pooler(group: ReplicationSet, end: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pooler is not asked, because its next transaction may lead to another server."""
    monkeypatch.setitem(connections.settings["replica"], "DISABLE_SERVER_SIDE_CURSORS", True)
    driver = identified(end, "b")

    assert driver.queries == 0
    assert "replica" not in aliases


def test_identify__another_server(group: ReplicationSet, end: socket.socket) -> None:
    """The alias is shared before the first read, until the replication set is reset."""
    driver = identified(end, "b")
    assert driver.queries == 1
    assert "replica" in aliases
    group.reset()

    assert "replica" not in aliases


def test_identify__before_any_snapshot(end: socket.socket) -> None:
    """Without a snapshot of the monitor, another server does not make the alias shared."""
    with lagging("replica"):
        driver = identified(end, "b")

        assert driver.queries == 1
        assert "replica" not in aliases


def test_identify__a_broken_connection(group: ReplicationSet, end: socket.socket) -> None:
    """No error is raised, and the server stays unknown."""
    driver = identified(end, "")

    assert sockets.server_of("replica", driver) == ""
    assert not driver.autocommit


@pytest.mark.parametrize(("alias", "vendor"), [("default", "postgresql"), ("replica", "sqlite")])
def test_identify__an_alias_that_cannot_lag(alias: str, vendor: str, group: ReplicationSet, end: socket.socket) -> None:
    """No query is sent."""
    driver = Driver(end, "b")
    server_identity.identify(alias, vendor, driver)

    assert driver.queries == 0


@pytest.mark.parametrize(("reason", "expected"), [("promoted", True), ("lagging", False), ("", False)])
def test_is_left_behind__one_of_two_servers(
    reason: str, expected: bool, group: ReplicationSet, end: socket.socket
) -> None:
    """Only an unfit server counts, while the alias is fit by another server."""
    known = {"a": Replica("replica", reason, at(5)), "b": Replica("replica", "", at(5))}
    alias = known["b" if reason == "promoted" else "a"]
    group.replace_snapshot([alias], by_server=known)
    connection: BaseDatabaseWrapper = connections["replica"].copy()
    connection.connection = identified(end, "a")

    assert server_identity.is_left_behind(connection) == expected


@pytest.mark.parametrize(
    ("owner_reason", "last", "expected"),
    [("down", "a", False), ("", "a", True), ("down", "b", True), ("down", "", True)],
)
def test_may_be_stale__a_promoted_server(
    owner_reason: str, last: str, expected: bool, group: ReplicationSet, end: socket.socket
) -> None:
    """While the owner is away, a client goes on at the promoted server if it read that server last."""
    group.replace_snapshot(
        [Replica("replica", "", at(5))],
        by_server={"a": Replica("replica", "promoted", at(9))},
        unavailable_reason=owner_reason,
    )
    consistency = ConsistencyState()
    if last:
        consistency.last_server["default"] = last

    assert stale(identified(end, "a"), consistency) == expected


@pytest.mark.parametrize(
    ("owner_reason", "replayed", "expected"),
    [("down", at(5), False), ("down", at(4), False), ("down", at(6), True), ("down", None, True), ("", at(5), True)],
)
def test_may_be_stale__another_server_than_the_promoted_one(
    owner_reason: str, replayed: Position | None, expected: bool, group: ReplicationSet, end: socket.socket
) -> None:
    """While the owner is away, a client goes on at a server that has all that the promoted one had as a standby."""
    group.replace_snapshot(
        [Replica("replica", "", at(5))],
        by_server={"a": Replica("replica", "", at(5)), "b": Replica("replica", "promoted", replayed)},
        unavailable_reason=owner_reason,
    )
    consistency = ConsistencyState()
    consistency.last_server["default"] = "b"

    assert stale(identified(end, "a"), consistency) == expected
    assert consistency.last_server["default"] == ("b" if expected else "a")


def stale(driver: Any, consistency: ConsistencyState) -> bool:
    connection: BaseDatabaseWrapper = connections["replica"].copy()
    connection.connection = driver
    with activate(request_context(consistency=consistency)):
        return server_identity.may_be_stale(connection)


@pytest.mark.parametrize(
    ("server", "reason", "consistency", "expected"),
    [
        ("a", "", ConsistencyState(), False),
        ("a", "", consistency_from({"default": at(5)}), False),
        ("a", "", consistency_from({"default": at(6)}), True),
        ("a", "", consistency_from({"default": PendingPosition(inf)}), True),
        ("a", "lagging", ConsistencyState(), True),
        ("b", "", ConsistencyState(), True),
        ("", "", ConsistencyState(), True),
    ],
)
def test_may_be_stale__by_the_known_state_of_the_server(
    *,
    server: str,
    reason: str,
    consistency: ConsistencyState,
    group: ReplicationSet,
    end: socket.socket,
    expected: bool,
) -> None:
    """A read stays on a server that is known, fit and caught up; the position of the alias does not count."""
    group.replace_snapshot([Replica("replica", "", at(9))], by_server={"a": Replica("replica", reason, at(5))})

    assert stale(identified(end, server), consistency) is expected


def test_may_be_stale__the_server_read_last(group: ReplicationSet, end: socket.socket) -> None:
    """A client stays on the server that it read last; another caught-up server may lack rows seen there."""
    group.replace_snapshot(
        [Replica("replica", "", at(5))], by_server=dict.fromkeys("ab", Replica("replica", "", at(5)))
    )
    driver, consistency = identified(end, "a"), ConsistencyState()
    assert not stale(driver, consistency)
    assert consistency.last_server == {"default": "a"}
    sockets.set_server("replica", driver, "b")
    assert stale(driver, consistency)
    consistency.require("default", at(4))

    assert not stale(driver, consistency)
    assert consistency.last_server == {"default": "b"}


def test_may_be_stale__behind_a_pooler(group: ReplicationSet, end: socket.socket) -> None:
    """No server of a shared alias serves a read through a pooler: the next transaction may reach another server."""
    connection = connections["replica"].copy()
    connection.connection = identified(end, "a")
    connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True
    with activate(request_context()):
        assert server_identity.may_be_stale(connection)


def test_may_be_stale__use_replica(group: ReplicationSet, end: socket.socket) -> None:
    """Inside use_replica() a read stays on any server that is not known to be unfit."""
    connection = connections["replica"].copy()
    connection.connection = identified(end, "b")
    with activate(request_context()), use_replica():
        assert not server_identity.may_be_stale(connection)


def test_may_be_stale__use_replica_of_an_unfit_server(group: ReplicationSet, end: socket.socket) -> None:
    """Inside use_replica() as well, a read moves from a server that is known to be unfit."""
    known = {"a": Replica("replica", "promoted"), "b": Replica("replica", "", at(5))}
    group.replace_snapshot([known["b"]], by_server=known)
    connection = connections["replica"].copy()
    connection.connection = identified(end, "a")
    with activate(request_context()), use_replica():
        assert server_identity.may_be_stale(connection)


def test_may_be_stale__a_closed_connection(group: ReplicationSet) -> None:
    """A closed connection leads to no server yet."""
    assert not stale(None, ConsistencyState())


@given(
    required=st.one_of(st.none(), st.integers(1, 4)),
    last=st.sampled_from(["", "a", "b"]),
    has=st.fixed_dictionaries({"a": st.integers(1, 4), "b": st.integers(1, 4)}),
    server=st.sampled_from(["a", "b"]),
)
def test_may_be_stale__never_behind(required: int | None, last: str, has: dict[str, int], server: str) -> None:
    """A read stays only on a caught-up server, and only on the server that the client read last."""
    ours, theirs = socket.socketpair()
    with ours, theirs, lagging("replica") as group:
        group.replace_snapshot([], by_server={each: Replica("replica", "", at(lsn)) for each, lsn in has.items()})
        consistency = consistency_from({} if required is None else {"default": at(required)})
        if last:
            consistency.last_server["default"] = last
        found = stale(identified(ours, server), consistency)

        assert found == ((required or 0) > has[server] or (last or server) != server)


def test_may_be_stale__a_pending_position(group: ReplicationSet, end: socket.socket) -> None:
    """No server has surely replayed a write at an unknown position."""
    consistency = ConsistencyState()
    consistency.require("default", PendingPosition(0.0))

    assert stale(identified(end, "a"), consistency)
