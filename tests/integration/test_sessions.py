"""The settings of a session on a real server: the limits and modes of a connection, as the server shows them."""

import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError, connections
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.servers import Servers

from config.databases import topology

pytestmark = pytest.mark.docker

POSTGRESQL = {
    "application_name": "switchyard",
    "client_encoding": "UTF8",
    "default_transaction_isolation": "read committed",
    "idle_in_transaction_session_timeout": "1min",
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    "timezone": "UTC",
}
MYSQL = {
    "character_set_client": "utf8mb4",
    "innodb_lock_wait_timeout": 10,
    "lock_wait_timeout": 10,
    "max_execution_time": 30_000,
    "time_zone": "+00:00",
    "transaction_isolation": "READ-COMMITTED",
    "transaction_read_only": 1,  # the owner is read-only
}


@pytest.mark.parametrize(("alias", "read_only"), [("default", "off"), ("analytics", "off"), ("replica", "on")])
def test_session__postgresql(real_databases: Servers, alias: str, read_only: str) -> None:
    """A session on PostgreSQL has time limits, UTC, a name, and is read-only on a replica."""
    expected = POSTGRESQL | {"default_transaction_read_only": read_only}

    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name", [list(expected)])
        told = dict(cursor.fetchall())

    assert told == expected


def test_session__mysql(real_databases: Servers) -> None:
    """A session on MySQL has time limits, UTC and strict mode, in spite of the server's defaults; it is read-only."""
    with connections["legacy"].cursor() as cursor:
        cursor.execute(f"SELECT @@sql_mode, {', '.join(f'@@{name}' for name in MYSQL)}")
        sql_mode, *told = cursor.fetchone()

    assert dict(zip(MYSQL, told, strict=True)) == MYSQL
    assert {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_DATE", "ONLY_FULL_GROUP_BY"} <= set(
        sql_mode.split(",")
    )


def test_session__mysql_replica(servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> None:
    """A session on a MySQL replica refuses writes itself, whatever the server allows and the guard does not see."""
    environ = servers.environ()
    environ |= {"DATABASE_OLD_URL": environ["DATABASE_LEGACY_URL"], "DATABASE_OLD_REPLICA_OF": "legacy"}
    given = topology(environ, data_dir=tmp_path)

    with (
        django_db_blocker.unblock(),
        connected(given.databases),
        override_settings(SWITCHYARD={**settings.SWITCHYARD, "REPLICAS": given.switchyard["REPLICAS"]}),
    ):
        connections["old"].ensure_connection()
        with pytest.raises(OperationalError, match="READ ONLY"), connections["old"].wrap_database_errors:
            connections["old"].connection.query("DELETE FROM legacy_order")


def test_session__pool(servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> None:
    """Sessions of a pool have the same settings, and the pool has the size in the URL."""
    environ = servers.environ()
    environ["DATABASE_DEFAULT_URL"] += "?pool_min_size=1&pool_max_size=3"

    with django_db_blocker.unblock(), connected(topology(environ, data_dir=tmp_path).databases):
        connection = connections["default"]
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            told = cursor.fetchone()
        size = connection.pool.max_size  # type: ignore[attr-defined] - only PostgreSQL's
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined] - as above

    assert told == ("30s",)
    assert size == 3


SLOW = [
    ("default", "?statement_timeout=1", "SELECT pg_sleep(20)"),
    # MySQL's limit on reads makes SLEEP() return early without an error, so this reaches the driver's limit.
    ("legacy", "?read_timeout=1", "SELECT SLEEP(20)"),
]


@pytest.mark.parametrize("slow", SLOW, ids=[alias for alias, _, _ in SLOW])
def test_session__slow_statement(
    servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path, slow: tuple[str, str, str]
) -> None:
    """A statement over the time limit ends with an error, on both vendors."""
    alias, query, sleep = slow
    environ = servers.environ()
    environ[f"DATABASE_{alias.upper()}_URL"] += query
    begun = time.monotonic()

    with (
        django_db_blocker.unblock(),
        connected(topology(environ, data_dir=tmp_path).databases),
        connections[alias].cursor() as cursor,
        pytest.raises(OperationalError),
    ):
        cursor.execute(sleep)

    assert time.monotonic() - begun < 10


def test_session__hung_server(servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> None:
    """A server that accepts a connection and never answers holds the driver no longer than `connect_timeout`."""
    environ = servers.environ()
    for alias in ("default", "legacy"):
        environ[f"DATABASE_{alias.upper()}_URL"] += "?connect_timeout=2"

    with django_db_blocker.unblock(), connected(topology(environ, data_dir=tmp_path).databases):
        for alias in ("default", "legacy"):
            with servers.paused(alias):
                begun = time.monotonic()
                with pytest.raises(OperationalError):
                    connections[alias].ensure_connection()

                assert time.monotonic() - begun < 8
