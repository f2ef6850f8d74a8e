"""Cases 25 and 26: the server itself refuses writes on a read-only owner, on a replica, and in a moved read.

The project is not the service: its databases have no options, and its replicas are servers that take writes. So only
the session that Switchyard sets stands in the way of a write that the guard does not see.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import pytest
from django.conf import settings
from django.db import DatabaseError, OperationalError, connections, transaction
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.hidden_writes import DRIVERS_WAYS, HIDDEN, LOOSENED, REFUSED, WAYS, attempt, written_table
from tests.support.servers import Servers

from switchyard.environment.database_url import database
from switchyard.routing import RoutingError, allow_writes, read_only
from switchyard.routing.errors import (
    AccessModeError,
    ReadOnlyBlockWriteError,
    ReadOnlyOwnerWriteError,
    ReadOnlyTransactionError,
    ReplicaWriteError,
)
from switchyard.routing.session.context import activate, request_context, task_context

pytestmark = pytest.mark.docker

OWNERS = {"*": "default", "analytics": "analytics", "reporting": "analytics", "legacy": "legacy"}
ROUTING = {
    "OWNERS": OWNERS,
    "REPLICAS": {"default": ["replica"], "legacy": ["legacyreplica"]},
    "READ_ONLY": ["analytics", "legacy"],
}
# Alias -> the server behind it, and its vendor.
BEHIND = {
    "analytics": ("analytics", "postgresql"),
    "replica": ("default", "postgresql"),
    "legacy": ("legacy", "mysql"),
    "legacyreplica": ("legacy", "mysql"),
}


@dataclass(frozen=True)
class Held:
    """An alias whose sessions its server holds read-only, though the server takes writes."""

    alias: str
    vendor: str
    state: Callable[[], tuple[Any, ...]]  # of the table `written`

    def execute(self, sql: str) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql)


def plain(servers: Servers, data_dir: Path) -> dict[str, Any]:
    """Return DATABASES without options. An alias without a server is a file that does not exist."""
    urls = {alias: servers.url(server) for alias, (server, _) in BEHIND.items() if server in servers.by_alias}
    if "default" in servers.by_alias:
        urls["default"] = servers.url("default")
    entries = {
        alias: database("URL", url, password=None, read_only=False, data_dir=data_dir) for alias, url in urls.items()
    }
    absent = {"ENGINE": "django.db.backends.sqlite3", "NAME": data_dir / "absent" / "file"}
    return {alias: {**entries.get(alias, absent), "OPTIONS": {}} for alias in ("default", *BEHIND)}


def project(servers: Servers, data_dir: Path, stack: ExitStack, alias: str) -> Held:
    """Connect this process to the servers, as a project with the aliases of `BEHIND`."""
    server, vendor = BEHIND[alias]
    state = stack.enter_context(written_table(servers, server, vendor))
    stack.enter_context(connected(plain(servers, data_dir)))
    stack.enter_context(override_settings(SWITCHYARD={**settings.SWITCHYARD, **ROUTING}))
    stack.enter_context(activate(task_context()))
    return Held(alias, vendor, state)


@pytest.fixture(params=[*BEHIND, "mariadb"])
def held(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Held]:
    """Each alias that is to be held; MariaDB is behind `legacy`."""
    servers = request.getfixturevalue("mariadb_pair" if request.param == "mariadb" else "servers")
    alias = "legacy" if request.param == "mariadb" else request.param
    with django_db_blocker.unblock(), ExitStack() as stack:
        yield project(servers, tmp_path, stack, alias)


def test_case_25__every_way_and_every_form(held: Held) -> None:
    """No form writes by any way through Django's API, inside a request and outside."""
    before = held.state()
    wrote = []
    for name, way in (WAYS[held.vendor] | DRIVERS_WAYS).items():
        forms = HIDDEN[held.vendor] + (LOOSENED[held.vendor] if name in WAYS[held.vendor] else [])
        for form in forms:
            for context in (request_context(), task_context()):
                with activate(context):
                    attempt(way, held.alias, form)
            if held.state() != before:
                wrote.append((name, form))
                before = held.state()

    assert wrote == []


def test_case_25__every_way_inside_allow_writes(held: Held) -> None:
    """Inside allow_writes() each way writes on a read-only owner, so the ways are real; on a replica none does."""
    wrote = {}
    for name, way in (WAYS[held.vendor] | DRIVERS_WAYS).items():
        before = held.state()
        with allow_writes(held.alias, reason="a test"):
            attempt(way, held.alias, ("SELECT tidy()",))
        wrote[name] = held.state() != before
    owner = "replica" not in held.alias

    # A thread has a context of its own, and RunSQL runs on an owner only.
    assert wrote == {name: owner and name != "in a thread" for name in wrote}


def test_case_25__after_allow_writes(held: Held) -> None:
    """After the block the open connection is read-only again, for the driver's own cursor too."""
    with allow_writes(held.alias, reason="a test"), suppress(ReplicaWriteError):
        held.execute("INSERT INTO written VALUES (3)")
    before = held.state()
    for sql in ("SELECT tidy()", "DELETE FROM written"):
        with pytest.raises(REFUSED):
            DRIVERS_WAYS["driver's cursor"](held.alias, sql)
        connections[held.alias].close()

    assert held.state() == before


def test_case_25__the_refusal_names_the_mistake(held: Held) -> None:
    """A hidden write raises the error of a write that the guard sees, with the server's error as its cause."""
    error = ReplicaWriteError if "replica" in held.alias else ReadOnlyOwnerWriteError
    with pytest.raises(error, match=f"A hidden write was refused on '{held.alias}'.*SELECT tidy") as refused:
        held.execute("SELECT tidy()")

    assert refused.value.__cause__ is not None


def test_case_25__a_transaction_that_began_before_allow_writes(held: Held) -> None:
    """The server holds the transaction read-only; the error says to open the block first."""
    if "replica" in held.alias:
        return
    with pytest.raises(ReadOnlyTransactionError, match="before the transaction"), transaction.atomic(held.alias):  # noqa: PT012 - the transaction begins with a read
        held.execute("SELECT x FROM written")
        with allow_writes(held.alias, reason="a test"):
            held.execute("INSERT INTO written VALUES (3)")
    with allow_writes(held.alias, reason="a test"), transaction.atomic(held.alias):
        held.execute("INSERT INTO written VALUES (4)")


def test_case_25__a_change_of_the_mode(held: Held) -> None:
    """A statement that makes the session writable is refused before SQL, and one that makes it read-only runs."""
    for sql in {
        "postgresql": ("SET default_transaction_read_only = off", "BEGIN READ WRITE"),
        "mysql": ("SET SESSION TRANSACTION READ WRITE", "SET @@session.transaction_read_only = 0"),
    }[held.vendor]:
        with pytest.raises(AccessModeError, match="leave the access mode to Switchyard"):
            held.execute(sql)
    held.execute(
        {
            "postgresql": "SET default_transaction_read_only = on",
            "mysql": "SET SESSION TRANSACTION READ ONLY",
        }[held.vendor]
    )


def test_case_25__in_the_transaction_of_a_testcase(held: Held) -> None:
    """There the guard alone holds a read-only owner: a factory writes inside allow_writes(), and no one outside."""
    if "replica" in held.alias:
        return
    before = held.state()
    block = transaction.atomic(using=held.alias)
    block._from_testcase = True
    with block:
        held.execute("SELECT x FROM written")
        with allow_writes(held.alias, reason="a factory"), transaction.atomic(held.alias):
            held.execute("INSERT INTO written VALUES (3)")
        with pytest.raises(ReadOnlyOwnerWriteError):
            held.execute("INSERT INTO written VALUES (3)")
        transaction.set_rollback(True, using=held.alias)
    with pytest.raises(ReadOnlyOwnerWriteError):
        held.execute("SELECT tidy()")

    assert held.state() == before


def test_case_25__a_procedure_that_is_named_in_the_settings(held: Held) -> None:
    """READ_ONLY_FUNCTIONS lets `callproc()` call it; the server still refuses what it writes."""
    if held.vendor != "mysql":
        return
    for named, error in (([], RoutingError), (["tidy_quietly"], DatabaseError)):
        routing = {**settings.SWITCHYARD, "READ_ONLY_FUNCTIONS": named}
        with (
            override_settings(SWITCHYARD=routing),
            connections[held.alias].cursor() as cursor,
            pytest.raises(error),
        ):
            cursor.callproc("tidy_quietly")


@pytest.fixture
def pooled(servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Return the entry of the read-only owner `analytics`; a test changes it before it connects."""
    databases = plain(servers, tmp_path)
    with (
        django_db_blocker.unblock(),
        written_table(servers, "analytics", "postgresql"),
        connected(databases),
        override_settings(SWITCHYARD={**settings.SWITCHYARD, **ROUTING}),
        activate(task_context()),
    ):
        yield connections.settings["analytics"]
        connections["analytics"].close()


def ask(sql: str) -> Any:
    with connections["analytics"].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_case_25__a_connection_of_a_pool(pooled: dict[str, Any]) -> None:
    """A pool's connection that returns inside allow_writes() is read-only for the next one who takes it."""
    pooled["OPTIONS"] = {"pool": {"min_size": 1, "max_size": 1}}
    pooled["CONN_MAX_AGE"] = 0
    try:
        pids = []
        for _ in range(2):
            with pytest.raises(ReadOnlyOwnerWriteError):
                ask("SELECT tidy()")
            with allow_writes("analytics", reason="a test"):
                assert ask("SELECT tidy()") == 2
                pids.append(ask("SELECT pg_backend_pid()"))
                connections["analytics"].close()

        assert len(set(pids)) == 1
    finally:
        connections["analytics"].close_pool()


def test_case_25__a_pooler_that_shares_sessions(pooled: dict[str, Any]) -> None:
    """Its sessions keep their mode; a statement and a transaction are read-only by themselves."""
    pooled["DISABLE_SERVER_SIDE_CURSORS"] = True
    with pytest.raises(ReadOnlyOwnerWriteError, match="hidden write"):
        ask("SELECT tidy()")
    with pytest.raises(ReadOnlyOwnerWriteError, match="hidden write"), transaction.atomic("analytics"):
        ask("SELECT tidy()")
    with allow_writes("analytics", reason="a test"):
        assert ask("SELECT tidy()") == 2

    assert connections["analytics"].connection.execute("SHOW default_transaction_read_only").fetchone() == ("off",)


@dataclass(frozen=True)
class Moving:
    """An owner whose replica refuses every connection: its reads move to the owner."""

    owner: str
    replica: str
    vendor: str
    state: Callable[[], tuple[Any, ...]]  # of the table `written`

    def ask(self, sql: str, *, chunked: bool = False) -> list[tuple[Any, ...]]:
        """Run a text on the replica's alias."""
        connection = connections[self.replica]
        with connection.chunked_cursor() if chunked else connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def refusal(self, sql: str, *, chunked: bool) -> str:
        """Return the error of the text on the replica's alias; empty if it runs."""
        try:
            self.ask(sql, chunked=chunked)
        except REFUSED as error:
            return str(error)
        return ""

    def write(self) -> None:
        """Add a row on the owner."""
        with connections[self.owner].cursor() as cursor:
            cursor.execute("INSERT INTO written VALUES (3)")


@pytest.fixture(params=["default", "legacy"])
def moving(
    request: pytest.FixtureRequest, servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> Iterator[Moving]:
    """Each vendor, with an owner that takes writes."""
    owner, replica, vendor = {
        "default": ("default", "replica", "postgresql"),
        "legacy": ("legacy", "legacyreplica", "mysql"),
    }[request.param]
    databases = plain(servers, tmp_path)
    databases[replica] = {**databases[replica], "HOST": "127.0.0.1", "PORT": "1"}
    with (
        django_db_blocker.unblock(),
        written_table(servers, owner, vendor) as state,
        connected(databases),
        override_settings(SWITCHYARD={**settings.SWITCHYARD, **ROUTING, "READ_ONLY": []}),
        activate(task_context()),
    ):
        yield Moving(owner, replica, vendor, state)


@pytest.mark.parametrize("chunked", [False, True])
def test_case_26__a_hidden_write(moving: Moving, chunked: bool) -> None:
    """The owner's server refuses it as the replica's would; the owner's session takes writes afterwards."""
    before = moving.state()
    with catch_warnings():
        # psycopg cannot close a server-side cursor whose transaction the server has refused to commit.
        simplefilter("ignore", ResourceWarning)
        for sql in HIDDEN[moving.vendor]:
            moving.refusal(sql[0], chunked=chunked)
        refusal = moving.refusal("SELECT tidy()", chunked=chunked)
        gc.collect()

    assert f"A hidden write was refused on '{moving.replica}'" in refusal
    assert moving.state() == before
    moving.write()
    assert moving.state() != before


@pytest.mark.parametrize("chunked", [False, True])
def test_case_26__a_read(moving: Moving, chunked: bool) -> None:
    """The read returns the owner's rows, and leaves no transaction open there."""
    assert moving.ask("SELECT x FROM written", chunked=chunked) == [(1,)]
    moving.write()
    assert moving.ask("SELECT count(*) FROM written", chunked=chunked) == [(2,)]


def test_case_26__inside_a_transaction_of_the_owner(moving: Moving) -> None:
    """PostgreSQL holds a part of the transaction read-only; on MySQL the read does not move."""
    with transaction.atomic(moving.owner):
        moving.write()
        if moving.vendor == "postgresql":
            assert moving.ask("SELECT count(*) FROM written") == [(2,)]
            with pytest.raises(ReplicaWriteError):
                moving.ask("SELECT tidy()")
        for chunked in [True] if moving.vendor == "postgresql" else [True, False]:
            with pytest.raises(OperationalError):
                moving.ask("SELECT count(*) FROM written", chunked=chunked)
        moving.write()

    assert moving.state()[0] == 3


def test_case_26__several_statements(moving: Moving) -> None:
    """A text of several statements does not move: a COMMIT in it would end the read-only transaction."""
    before = moving.state()
    for sql in ("COMMIT; SELECT tidy()", "SELECT 1; SELECT tidy()"):
        with pytest.raises((OperationalError, RoutingError)):
            moving.ask(sql)

    assert moving.state() == before


def test_case_26__read_only_on_the_owner(moving: Moving) -> None:
    """read_only() on the owner in the replica's place refuses a hidden write, and so does a COMMIT in the block."""
    before = moving.state()
    with read_only(moving.replica) as alias:
        assert alias == moving.owner
        for sql in ("COMMIT; BEGIN", "COMMIT", "ROLLBACK", "BEGIN", "START TRANSACTION READ WRITE", "SELECT 1; COMMIT"):
            with pytest.raises(ReadOnlyBlockWriteError), connections[alias].cursor() as cursor:
                cursor.execute(sql)
    owner = connections[moving.owner]
    with pytest.raises(ReadOnlyBlockWriteError, match="hidden"), read_only(moving.replica), owner.cursor() as cursor:
        cursor.execute("SELECT tidy()")

    assert moving.state() == before


def test_case_26__read_only_inside_a_transaction(moving: Moving) -> None:
    """PostgreSQL holds the savepoint of the block read-only, and the transaction takes writes after it."""
    if moving.vendor == "mysql":
        pytest.skip("MySQL has no read-only part of a transaction: the guard alone refuses writes there")
    with transaction.atomic(moving.owner):
        moving.write()
        with (
            pytest.raises(ReadOnlyBlockWriteError),
            read_only(moving.owner),
            connections[moving.owner].cursor() as cursor,
        ):
            cursor.execute("SELECT tidy()")
        with read_only(moving.owner):
            pass
        moving.write()

    assert moving.state()[0] == 3
