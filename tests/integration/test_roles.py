"""The roles that the start scripts of the chart's owners make: what each role may do, and what it may not."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from tests.support.containers import PASSWORDS
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import MYSQL, POSTGRESQL, MySQLdb, Vendor
from tests.support.waiting import until

pytestmark = pytest.mark.docker

# The table `made` is the migrator's work, and has one row at the start of each test.
MAY: dict[str, dict[str, list[str]]] = {
    "postgresql": {
        "migrator": [
            "CREATE TABLE more (id bigint GENERATED ALWAYS AS IDENTITY)",
            "ALTER TABLE made ADD more text",
            "CREATE SCHEMA more",
            (
                "CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                " CREATE TRIGGER of_made AFTER DELETE ON made EXECUTE FUNCTION nothing()"
            ),
            "TRUNCATE made",
            "DROP TABLE made",
        ],
        "app": [
            "INSERT INTO made (word) VALUES ('b')",
            "UPDATE made SET word = 'b'",
            "DELETE FROM made",
            "CREATE TEMPORARY TABLE passing (id int)",
            "SELECT received_tli FROM pg_stat_wal_receiver",
        ],
        "readonly": ["SELECT word FROM made"],
        "monitor": ["SELECT * FROM pg_ls_waldir()", "SHOW config_file"],
    },
    "mysql": {
        "migrator": [
            "CREATE TABLE more (id int)",
            "ALTER TABLE made ADD more text",
            "CREATE TRIGGER of_made AFTER DELETE ON made FOR EACH ROW SET @deleted = 1",
            "TRUNCATE made",
            "DROP TABLE made",
        ],
        "app": [
            "INSERT INTO made (word) VALUES ('b')",
            "UPDATE made SET word = 'b'",
            "DELETE FROM made",
            "CREATE TEMPORARY TABLE passing (id int)",
        ],
        "readonly": ["SELECT word FROM made"],
        "monitor": ["SELECT * FROM performance_schema.threads", "SHOW ENGINE INNODB STATUS", "SHOW BINARY LOG STATUS"],
    },
}
MAY_NOT: dict[str, dict[str, list[str]]] = {
    "postgresql": {
        "migrator": ["CREATE ROLE more", "SELECT * FROM pg_authid", "ALTER SYSTEM SET work_mem = '1GB'"],
        "app": [
            "CREATE TABLE more (id int)",
            "ALTER TABLE made ADD more text",
            "TRUNCATE made",
            "DROP TABLE made",
            "SET ROLE owner",
            "ALTER TABLE made DISABLE TRIGGER ALL",
            "SELECT * FROM pg_authid",
        ],
        "readonly": [
            "SET default_transaction_read_only = off; INSERT INTO made (word) VALUES ('b')",
            "SET default_transaction_read_only = off; UPDATE made SET word = 'b'",
            "SET default_transaction_read_only = off; CREATE TEMPORARY TABLE passing (id int)",
            "SET default_transaction_read_only = off; CREATE TABLE more (id int)",
            "SELECT * FROM pg_authid",
        ],
        "monitor": ["SELECT * FROM made", "CREATE TABLE more (id int)", "SELECT * FROM pg_authid"],
    },
    "mysql": {
        "migrator": ["CREATE USER more", "CREATE DATABASE more", "SELECT * FROM mysql.user"],
        "app": [
            "CREATE TABLE more (id int)",
            "ALTER TABLE made ADD more text",
            "TRUNCATE made",
            "DROP TABLE made",
            "CREATE TRIGGER of_made AFTER DELETE ON made FOR EACH ROW SET @deleted = 1",
            "SELECT * FROM mysql.user",
        ],
        "readonly": [
            "INSERT INTO made (word) VALUES ('b')",
            "UPDATE made SET word = 'b'",
            "CREATE TEMPORARY TABLE passing (id int)",
            "CREATE TABLE more (id int)",
        ],
        "monitor": [
            "SELECT * FROM switchyard.made",
            "CREATE TABLE switchyard.more (id int)",
            "SELECT * FROM mysql.user",
        ],
    },
}


def cases(table: dict[str, dict[str, list[str]]]) -> list[Any]:
    """Return each vendor with each of its roles and one statement."""
    return [
        pytest.param(vendor, role, statement, id=f"{role}-{vendor.scheme}-{statement[:40]}")
        for vendor in (POSTGRESQL, MYSQL)
        for role, statements in table[vendor.scheme].items()
        for statement in statements
    ]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """An owner of each vendor."""
    with network_of_servers(POSTGRESQL, MYSQL) as started:
        started.start_postgres("postgresql", volume=f"{started.network.name}-data")
        started.start_mysql("mysql")
        for alias in started.by_alias:
            started.answers(alias)
        try:
            yield started
        finally:
            started.remove("postgresql")
            assert started.network.client is not None
            started.network.client.volumes.get(f"{started.network.name}-data").remove()


def run(servers: Servers, vendor: Vendor, role: str, *statements: str) -> None:
    """Run the statements as a role of the vendor's server."""
    port, password = servers.by_alias[vendor.scheme].port, PASSWORDS[role]
    database = "information_schema" if vendor is MYSQL and role == "monitor" else "switchyard"
    connection: Any = (
        MySQLdb.connect(host="127.0.0.1", port=port, user=role, password=password, database=database, autocommit=True)
        if vendor is MYSQL
        else psycopg.connect(
            host="127.0.0.1", port=port, user=role, password=password, dbname=database, autocommit=True
        )
    )
    with closing(connection), closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def made(servers: Servers) -> Iterator[Servers]:
    """The servers with the table `made`, which holds one row."""
    for vendor in (POSTGRESQL, MYSQL):
        run(servers, vendor, "migrator", "CREATE TABLE made (word text)", "INSERT INTO made VALUES ('a')")
    yield servers
    for vendor in (POSTGRESQL, MYSQL):
        run(servers, vendor, "migrator", "DROP TABLE IF EXISTS made, more")
    run(servers, POSTGRESQL, "migrator", "DROP SCHEMA IF EXISTS more")


@pytest.mark.parametrize(("vendor", "role", "statement"), cases(MAY))
def test_role__may(made: Servers, vendor: Vendor, role: str, statement: str) -> None:
    """The role may run the statement."""
    run(made, vendor, role, statement)


@pytest.mark.parametrize(("vendor", "role", "statement"), cases(MAY_NOT))
def test_role__may_not(made: Servers, vendor: Vendor, role: str, statement: str) -> None:
    """The server refuses the statement of the role."""
    refused = MySQLdb.OperationalError if vendor is MYSQL else psycopg.Error
    *before, last = statement.split("; ")

    with pytest.raises(refused, match=r"(permission|[Aa]ccess|command) denied|must be owner|denied;"):
        run(made, vendor, role, *before, last)


def test_readonly__by_default(made: Servers) -> None:
    """Sessions of `readonly` are read-only, before any right is asked for."""
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        run(made, POSTGRESQL, "readonly", "CREATE TABLE more (id int)")


def test_monitor__sees_statements_of_others(made: Servers) -> None:
    """`monitor` sees which statements other roles run."""
    with closing(made.admin("postgresql")) as other:
        other.execute("SELECT 'of another'")
        port, password = made.by_alias["postgresql"].port, PASSWORDS["monitor"]
        with psycopg.connect(
            host="127.0.0.1", port=port, user="monitor", password=password, dbname="switchyard"
        ) as connection:
            found = connection.execute("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT ''of another'''")
            assert found.fetchone() == (1,)


def test_owner__of_tables(made: Servers) -> None:
    """What a migration makes belongs to `owner`, as whom nobody connects."""
    assert made.ask("postgresql", "SELECT tableowner FROM pg_tables WHERE tablename = 'made'") == [("owner",)]
    assert made.ask("postgresql", "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'owner'") == [(False,)]


def test_replicator__has_no_database(made: Servers) -> None:
    """`replicator` streams, and connects to no database of the service."""
    port, password = made.by_alias["postgresql"].port, PASSWORDS["replicator"]
    psycopg.connect(f"host=127.0.0.1 port={port} user=replicator replication=true", password=password).close()

    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(host="127.0.0.1", port=port, user="replicator", password=password, dbname="switchyard")


def test_start__with_tables_of_an_earlier_chart(made: Servers) -> None:
    """Tables that belong to `migrator` belong to `owner` after the next start, and each role keeps its rights."""
    made.ask(
        "postgresql",
        "ALTER TABLE made OWNER TO migrator",
        "ALTER SCHEMA public OWNER TO migrator",
        "ALTER ROLE migrator RESET role",
        "REVOKE owner FROM migrator",
        "REVOKE ALL ON made FROM readonly",
    )
    made.start_postgres("postgresql", volume=f"{made.network.name}-data")
    container = made.containers["postgresql"]
    until(lambda: container.exec_run(["/scripts/postgres-ready.sh"])[0] == 0, "the server is ready", seconds=120)

    assert made.ask("postgresql", "SELECT tableowner FROM pg_tables WHERE tablename = 'made'") == [("owner",)]
    run(made, POSTGRESQL, "migrator", "ALTER TABLE made ADD later text")
    run(made, POSTGRESQL, "app", "INSERT INTO made (word) VALUES ('c')")
    run(made, POSTGRESQL, "readonly", "SELECT later FROM made")
