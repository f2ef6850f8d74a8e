"""The promises with MariaDB behind `legacy`: some cases again, and the features of MariaDB alone."""

import re
import time
from contextlib import closing
from typing import Any

import pytest
from django.db import connections
from tests.integration.cases.test_idle import test_case_20__idle_owner
from tests.integration.cases.test_owner_moved import test_case_19__super_read_only
from tests.integration.cases.test_read_your_writes import (
    legacy_writable,
    sampled,
    test_read_your_writes__cookie_after_a_redirect,
    test_read_your_writes__header,
    test_read_your_writes__nothing_required,
)
from tests.integration.cases.test_replica_away import impatient, test_case_17__replica_fails
from tests.integration.cases.test_writes import (
    test_case_5__lock,
    test_case_6__write_to_the_replica,
)
from tests.integration.conftest import manage
from tests.integration.test_migrate import OWNED, TABLES
from tests.integration.test_replicas_command import replicas
from tests.support.faults import promoted
from tests.support.servers import Servers
from tests.support.vendors import ROOT_PASSWORD
from tests.support.waiting import until
from tests.support.watching import NEW, OLD, SIDES, Side

from switchyard.positions import mariadb
from switchyard.routing import RoutingError, read_only
from switchyard.routing.checks.databases import check_servers
from switchyard.routing.session.context import current
from switchyard.testing import replica_lag

__all__ = [
    "impatient",
    "legacy_writable",
    "test_case_5__lock",
    "test_case_6__write_to_the_replica",
    "test_case_17__replica_fails",
    "test_case_19__super_read_only",
    "test_case_20__idle_owner",
    "test_read_your_writes__cookie_after_a_redirect",
    "test_read_your_writes__header",
    "test_read_your_writes__nothing_required",
]
pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("legacy_writable")]


@pytest.fixture(scope="module")
def mysql_pair(mariadb_pair: Servers, servers: Servers) -> Servers:
    """The four servers and `legacyreplica`, with a MariaDB and its replica in place of the MySQL servers."""
    among = Servers(mariadb_pair.network, {**servers.by_alias, **mariadb_pair.by_alias})
    migrated = manage("migrate_all", **among.environ("migrator"))
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    among.caught_up("legacyreplica")
    return among


@pytest.fixture
def side() -> Side:
    """The `legacy` side, here on MariaDB."""
    return SIDES["mysql"]


def test_migrate_all__mariadb(mysql_pair: Servers) -> None:
    """The owner has the tables of the apps that `legacy` owns and no others, and so has its replica."""
    for alias in ("legacy", "legacyreplica"):
        assert {name for (name,) in mysql_pair.ask(alias, TABLES["legacy"])} == OWNED["legacy"] | {"django_migrations"}


def test_check_servers__mariadb(watched: Servers) -> None:
    """The check finds a server with positions."""
    assert check_servers(databases=["legacy"]) == []


def test_replicas__mariadb(mysql_pair: Servers) -> None:
    """Owner and replica are fit, at one position, without lag; bytes of lag are not counted."""
    mysql_pair.caught_up("legacyreplica")
    code, found = replicas(mysql_pair)
    owner, replica = found["legacy"], found["legacyreplica"]

    assert code == 0
    assert (owner["state"], replica["state"]) == ("fit", "fit")
    assert re.fullmatch(r"\d+-\d+-\d+(,\d+-\d+-\d+)*", replica["position"])
    assert owner["position"] == replica["position"]
    assert (replica["lag_seconds"], replica["lag_bytes"]) == (0, None)


@pytest.mark.parametrize("domain", [0, 7])
def test_read_your_writes__outside_requests(watched: Servers, side: Side, domain: int) -> None:
    """A write in any domain is read from the owner at once, and from the replica after its replay."""
    watched.ask("legacy", f"SET GLOBAL gtid_domain_id = {domain}")
    try:
        connections["legacy"].close()  # the next connection writes in the domain
        with watched.held_back(side.replica):
            side.create("bob")
            wrote_at = time.monotonic()
            until(lambda: sampled(side).begun_at > wrote_at, "the owner was asked for its position")
            early = side.get("bob")._state.db
        until(lambda: side.get("bob")._state.db == side.replica, "the replica is known to have it")
    finally:
        watched.ask("legacy", "SET GLOBAL gtid_domain_id = 0")
        connections["legacy"].close()

    assert early == side.owner
    assert domain in {each for each, *_ in sampled(side).status.position.domains}


def test_written__on_a_former_replica(mysql_pair: Servers) -> None:
    """A promoted replica has everything of its old owner, though its own log need not name it."""
    with closing(mysql_pair.admin("legacy")) as connection, closing(connection.cursor()) as cursor:
        before = mariadb.current_position(cursor)
    mysql_pair.caught_up("legacyreplica")
    with promoted(mysql_pair, "legacyreplica"):
        mysql_pair.ask("legacyreplica", "RESET MASTER")  # as if it had replayed without log_slave_updates
        with closing(mysql_pair.admin("legacyreplica")) as connection, closing(connection.cursor()) as cursor:
            after, answer = mariadb.current_position(cursor), mariadb.status(cursor)

    assert after.includes(before)
    assert answer.position == after
    assert answer.writable


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM customers RETURNING name",
        f"SET STATEMENT max_statement_time = 9 FOR UPDATE customers SET email = '{NEW}'",
        "BEGIN NOT ATOMIC DELETE FROM customers; END",
        "EXECUTE IMMEDIATE 'DELETE FROM customers'",
        "SELECT 1 /*M! + NEXT VALUE FOR numbers */",
        "SELECT NEXTVAL(numbers)",
    ],
)
def test_wrote__in_its_own_words(watched: Servers, side: Side, ada: Any, text: str) -> None:
    """Writes in MariaDB's own syntax require a position, and the guard refuses them on the replica."""
    watched.ask("legacy", "CREATE SEQUENCE IF NOT EXISTS numbers")
    logged = "SELECT @@global.gtid_binlog_pos"
    try:
        before = watched.ask("legacy", logged)
        with connections[side.owner].cursor() as cursor:
            cursor.execute(text)
        wrote = watched.ask("legacy", logged) != before
        required = set(current().consistency.required)
        with pytest.raises(RoutingError, match=f"'{side.owner}'"), connections[side.replica].cursor() as cursor:
            cursor.execute(text)
    finally:
        watched.ask("legacy", "DROP SEQUENCE numbers")

    assert wrote
    assert required == {"legacy"}


def test_read_only__held_by_the_server(watched: Servers, side: Side, ada: Any) -> None:
    """The server of the owner refuses writes without a guard inside the block, and takes them after it."""
    drivers = pytest.importorskip("MySQLdb")
    change = f"UPDATE customers SET email = '{NEW}'"
    with read_only(side.owner) as alias, connections[alias].connection.cursor() as cursor:
        with pytest.raises(drivers.OperationalError, match="READ ONLY"):
            cursor.execute(change)
        found = side.on_owner().get().email
    with connections[side.owner].cursor() as cursor:
        cursor.execute(change)

    assert (alias, found) == (side.owner, OLD)
    assert side.on_owner().get().email == NEW


def test_read_only__a_replicas_session(watched: Servers, side: Side, ada: Any) -> None:
    """The session on a replica refuses writes of a user whose writes the read-only server would accept."""
    drivers = pytest.importorskip("MySQLdb")
    as_root(side.replica)
    connections[side.replica].ensure_connection()

    with (
        connections[side.replica].connection.cursor() as cursor,
        pytest.raises(drivers.OperationalError, match="READ ONLY transaction"),
    ):
        cursor.execute("DELETE FROM customers")


def as_root(*aliases: str) -> None:
    """Connect as superuser from now on, until the end of the test."""
    for alias in aliases:
        connections.settings[alias] |= {"USER": "root", "PASSWORD": ROOT_PASSWORD}
        connections[alias].close()


def test_replica_lag__on_demand(watched: Servers, side: Side, ada: Any) -> None:
    """The server pauses and delays the replay in a test; after the block the replica has everything."""
    as_root(side.owner, side.replica)
    on_replica = side.model._default_manager.using(side.replica)
    with replica_lag() as lag:
        lag.pause(side.replica)
        side.on_owner().update(email=NEW)
        paused = on_replica.get().email
        lag.catch_up(side.replica)
        caught_up = on_replica.get().email
        lag.delay(3600, side.replica)
        side.on_owner().update(email=OLD)
        delayed = on_replica.get().email

    assert (paused, caught_up, delayed) == (OLD, NEW, NEW)
    assert on_replica.get().email == OLD
