"""The mixin of every connection, and connections that cannot be opened, on SQLite files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.published import published

from config.databases import topology
from switchyard.routing import only, read_only
from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.connections import failover, wrapper
from switchyard.routing.connections.fallback_reads import run_elsewhere
from switchyard.routing.connections.wrapper import RoutedConnection, install
from switchyard.routing.errors import OwnerUnavailableError, ReplicaWriteError
from switchyard.routing.guards.guard import guard_statement
from switchyard.routing.monitor.waits import Wait, waits_for
from switchyard.routing.topology.replication import Replica, replication_set, shared_aliases


@pytest.fixture
def files(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    """Return the settings of aliases with a file each; the file of the replica cannot be opened."""
    databases = topology({}, data_dir=tmp_path).databases
    databases["replica"] = {**databases["replica"], "NAME": str(tmp_path / "absent" / "file"), "OPTIONS": {}}
    with django_db_blocker.unblock(), connected(databases):
        install()
        run("default", "CREATE TABLE place (name text)")
        run("default", "INSERT INTO place VALUES ('default')")
        yield databases


def run(alias: str, sql: str) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def test_install__again() -> None:
    """A second call changes nothing for connections made before and after it."""
    install()
    before = connections["replica"]
    create = connections.create_connection
    install()

    assert connections["replica"] is before
    assert connections.create_connection is create
    assert type(connections.create_connection("replica")).__mro__.count(RoutedConnection) == 1


def test_install__guarded_before_open() -> None:
    """A connection has the guard first and the failover next before it opens."""
    install()

    assert connections.create_connection("replica").execute_wrappers[:2] == [guard_statement, run_elsewhere]


def test_copy() -> None:
    """A copy has the backend's own class, so that its queries never go to another server."""
    install()
    connection = connections.create_connection("replica")

    assert isinstance(connection, RoutedConnection)
    assert not isinstance(connection.copy(), RoutedConnection)


def test_cursor__replica_that_cannot_be_opened(files: dict[str, Any]) -> None:
    """Its reads go to the owner, also several reads of one cursor."""
    assert run("replica", "SELECT name FROM place") == [("default",)]
    with connections["replica"].cursor() as cursor:
        for _ in range(2):
            cursor.execute("SELECT name FROM place")
            assert list(cursor) == [("default",)]


def test_only__replica_that_cannot_be_opened(files: dict[str, Any]) -> None:
    """A cursor raises the error of the server, with and without a statement; other replicas' reads still move."""
    with only("replica"):
        for ask in (
            lambda: run("replica", "SELECT 1"),
            connections["replica"].cursor,
            connections["replica"].ensure_connection,
        ):
            with pytest.raises(OperationalError, match="unable to open"):
                ask()
        with only("default"):
            assert run("default", "SELECT name FROM place") == [("default",)]
    with only("default"):
        assert run("replica", "SELECT name FROM place") == [("default",)]


def test_only__replica_that_is_known_to_be_down(files: dict[str, Any]) -> None:
    """A statement raises the error at once, without an attempt to connect."""
    replicas = [Replica("replica", "down")]
    with published(replicas=replicas), only("replica"), pytest.raises(OperationalError, match="'replica' is down"):
        run("replica", "SELECT 1")


def test_only__read_only_block(files: dict[str, Any]) -> None:
    """A named read-only transaction does not move to the owner."""
    with only("replica"), pytest.raises(OperationalError, match="unable to open"), read_only("replica"):
        pass
    with (
        published(replicas=[Replica("replica", "down")]),
        only("replica"),
        pytest.raises(OperationalError, match="'replica' is down"),
        read_only("replica"),
    ):
        pass


@pytest.mark.parametrize("before", ["", "SELECT 1"])
def test_cursor__write_on_a_replica_that_cannot_be_opened(before: str, files: dict[str, Any]) -> None:
    """A write is refused and never reaches the owner, also on a cursor that has read there."""
    with connections["replica"].cursor() as cursor:
        if before:
            cursor.execute(before)
        with pytest.raises(ReplicaWriteError):
            cursor.execute("DELETE FROM place")

    assert run("default", "SELECT count(*) FROM place") == [(1,)]


def test_cursor__transaction_on_a_replica_that_cannot_be_opened(files: dict[str, Any]) -> None:
    """A transaction raises the error, because a transaction never moves."""
    with pytest.raises(OperationalError, match="unable to open"), transaction.atomic("replica"):
        run("replica", "SELECT name FROM place")


def test_cursor__executemany_on_a_replica_that_cannot_be_opened(files: dict[str, Any]) -> None:
    """executemany() raises the error, because its iterator of parameters may be consumed."""
    with connections["replica"].cursor() as cursor, pytest.raises(OperationalError, match="unable to open"):
        cursor.executemany("SELECT %s", iter([(1,)]))


def test_cursor__alias_that_is_no_replica(files: dict[str, Any]) -> None:
    """An alias that is no replica raises the error of Django."""
    connections.settings["analytics"]["NAME"] = connections.settings["replica"]["NAME"]
    connections.settings["analytics"]["OPTIONS"] = {}

    with pytest.raises(OperationalError, match="unable to open"):
        run("analytics", "SELECT 1")


def test_cursor__replica_known_to_be_down(files: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is attempted, because an attempt could hang."""
    monkeypatch.setattr(
        connections["replica"], "get_new_connection", lambda _params: pytest.fail("connection attempted")
    )

    with published(replicas=[Replica("replica", "down")]):
        assert run("replica", "SELECT name FROM place") == [("default",)]


@pytest.mark.parametrize("reason", ["down", "standby", "read_only", "superseded"])
def test_owner__that_must_not_be_written(reason: str, files: dict[str, Any]) -> None:
    """Writes are refused before SQL, without a host in the error; reads are refused only if the server is down."""
    with published(unavailable_reason=reason):
        with pytest.raises(OwnerUnavailableError, match=r"^'default' cannot be used: its [a-z]") as refused:
            run("default", "DELETE FROM place")
        if reason == "down":
            with pytest.raises(OwnerUnavailableError):
                run("default", "SELECT name FROM place")
        else:
            assert run("default", "SELECT name FROM place") == [("default",)]

    assert refused.value.reason == reason


def test_owner__without_replicas_known_to_be_down(files: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every owner is refused while it is down, on an open connection too; its old connection is not asked."""
    connection = connections["analytics"]
    run("analytics", "SELECT 1")
    with published("analytics", unavailable_reason="down"):
        monkeypatch.setattr(type(connection).__mro__[2], "is_usable", lambda _self: pytest.fail("server asked"))
        assert not connection.is_usable()
        for statement in ("SELECT 1", "DELETE FROM place"):
            with pytest.raises(OwnerUnavailableError, match="its server does not answer"):
                run("analytics", statement)

    assert run("default", "SELECT name FROM place") == [("default",)]


def test_copy__of_an_owner_known_to_be_down(files: dict[str, Any]) -> None:
    """A copy reads from its server all the same, for commands that wait for the server; its writes are refused."""
    copied = connections["default"].copy()
    with published(unavailable_reason="down"), copied.cursor() as cursor:
        cursor.execute("SELECT name FROM place")
        assert cursor.fetchall() == [("default",)]
        with pytest.raises(OwnerUnavailableError):
            cursor.execute("DELETE FROM place")
    copied.close()


def test_owner__that_answers_late(files: dict[str, Any], settings: Any) -> None:
    """While half of the threads wait for it, further statements and transactions are refused at once."""
    settings.SWITCHYARD = {**settings.SWITCHYARD, "THREADS": 4}
    run("default", "SELECT name FROM place")
    with published(answers_late=True), Wait("default"):
        assert run("default", "SELECT name FROM place") == [("default",)]
        with Wait("default"):
            with pytest.raises(OwnerUnavailableError) as refused:
                run("default", "SELECT name FROM place")
            with pytest.raises(OwnerUnavailableError), transaction.atomic("default"):
                pass
    with Wait("default"), Wait("default"):  # a server that answers in time is not refused
        assert run("default", "SELECT name FROM place") == [("default",)]

    assert refused.value.reason == "busy"


def test_owner__connections_beyond_the_share(files: dict[str, Any], settings: Any) -> None:
    """Of the threads that connect to a server that answers late, those beyond the share give up."""
    settings.SWITCHYARD = {**settings.SWITCHYARD, "THREADS": 4}
    with published(answers_late=True), Wait("default"), Wait("default") as second, Wait("default") as third:
        errors = [wrapper._down_error("default", running) for running in (second, third)]

    assert errors[0] is None
    assert isinstance(errors[1], OwnerUnavailableError)


@pytest.mark.parametrize(
    "wait",
    [
        lambda connection: connection._commit(),
        lambda connection: connection._rollback(),
        lambda connection: connection._set_autocommit(False),
        lambda connection: connection.is_usable(),
    ],
)
def test_owner__waits_without_a_cursor(
    wait: Callable[[Any], Any], files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a transaction, its begin and a health check wait for the server, and count as running calls."""
    run("default", "SELECT 1")
    connection, counted = connections["default"], []
    base = type(connection).__mro__[2]
    for name in ("_commit", "_rollback", "_set_autocommit", "is_usable"):
        monkeypatch.setattr(base, name, lambda *_: counted.extend(waits_for("default").running.values()))
    wait(connection)
    monkeypatch.undo()

    assert counted == [connection.connection]
    assert waits_for("default").running == {}


def test_owner__known_to_be_down(files: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is attempted, also not for a transaction."""
    connections["default"].close()
    monkeypatch.setattr(
        connections["default"], "get_new_connection", lambda _params: pytest.fail("connection attempted")
    )

    with (
        published(unavailable_reason="down"),
        pytest.raises(OwnerUnavailableError),
        transaction.atomic("default"),
    ):
        run("default", "DELETE FROM place")


@contextmanager
def without_autocommit(alias: str) -> Iterator[None]:
    """Begin a transaction with the next statement, without `atomic()`."""
    transaction.set_autocommit(False, using=alias)
    try:
        yield
    finally:
        transaction.rollback(using=alias)
        transaction.set_autocommit(True, using=alias)


def test_owner__known_to_be_down_with_an_open_connection(
    files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction is refused without a query; it opens again when the server is available."""
    connection = connections["default"]
    run("default", "SELECT name FROM place")
    with monkeypatch.context() as patch, published(unavailable_reason="down"):
        patch.setattr(connection, "_set_autocommit", lambda _on: pytest.fail("server asked"))
        with pytest.raises(OwnerUnavailableError):
            transaction.atomic("default").__enter__()

    assert not connection.in_atomic_block
    with transaction.atomic("default"):
        assert run("default", "SELECT name FROM place") == [("default",)]


@pytest.mark.parametrize("begin", [lambda: transaction.atomic("default"), lambda: without_autocommit("default")])
def test_transaction__on_a_closed_connection(begin: Callable[[], Any], files: dict[str, Any]) -> None:
    """A transaction that opens its connection is known as long as it is open."""
    connections["default"].close()
    with begin():
        inside = program_transaction_on("default")

    assert inside is connections["default"]
    assert program_transaction_on("default") is None


def test_cursor__server_that_may_be_stale(
    files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reads go to the owner, the replica stays fit, and a write is refused."""
    connections["replica"].settings_dict["NAME"] = str(tmp_path / "replica")
    monkeypatch.setitem(shared_aliases, "replica", 0.0)
    monkeypatch.setattr(failover, "may_be_stale", lambda connection: connection.alias == "replica")

    assert run("replica", "SELECT name FROM place") == [("default",)]
    assert replication_set("default").snapshot.replicas[0].fit
    with pytest.raises(ReplicaWriteError):
        run("replica", "DELETE FROM place")
