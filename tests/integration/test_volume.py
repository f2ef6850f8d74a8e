"""The counters of this process, compared with the counters of the servers.

A query is one call into the driver; servers count other units. CALLS has, for each way to call, the increments of the
counters and of each server. The ends of transactions, which are calls of a connection and not of a cursor, and the
set-up of connections are left out on both sides.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from tests.support.servers import Servers

from analytics.models import AnalyticsEvent
from legacy.models import Customer
from switchyard.routing import allow_writes
from switchyard.routing.connections.wrapper import routed
from switchyard.telemetry import snapshot
from switchyard.telemetry.metrics import CONNECTIONS_CLOSED, CONNECTIONS_OPENED, QUERIES, TRANSACTIONS
from switchyard.telemetry.metrics import ROWS as ROWS_SEEN

ROWS = 7
MOMENT = "2026-01-01 00:00:00"

MODELS: Mapping[str, type[Model]] = {"analytics": AnalyticsEvent, "legacy": Customer, "replica": Permission}
INSERT = {
    "postgresql": "INSERT INTO analytics_analyticsevent (user_id, kind, at) VALUES (%s, %s, %s)",
    "mysql": "INSERT INTO customers (name, email, created_at) VALUES (%s, %s, %s)",
}
UPDATE = {
    "postgresql": "UPDATE analytics_analyticsevent SET kind = %s WHERE id = %s",
    "mysql": "UPDATE customers SET name = %s WHERE id = %s",
}
COPY_IN = "COPY analytics_analyticsevent (user_id, kind, at) FROM STDIN"
COPY_OUT = "COPY (SELECT generate_series(1, 3)) TO STDOUT"


def orm_read(connection: BaseDatabaseWrapper) -> None:
    list(MODELS[connection.alias].objects.using(connection.alias).order_by("pk")[:ROWS])


def raw_read(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchall()


def debugged_read(connection: BaseDatabaseWrapper) -> None:
    connection.force_debug_cursor = True
    raw_read(connection)
    connection.force_debug_cursor = False


def iterate(connection: BaseDatabaseWrapper) -> None:
    rows = MODELS[connection.alias].objects.using(connection.alias).order_by("pk")[:ROWS].iterator(chunk_size=5)
    assert len(list(rows)) == ROWS


def orm_write(connection: BaseDatabaseWrapper) -> None:
    MODELS[connection.alias].objects.using(connection.alias).filter(pk=-1).update(id=-1)


def execute(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute(INSERT[connection.vendor], [1, "one", MOMENT])


def insert_many(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(INSERT[connection.vendor], [[number, "many", MOMENT] for number in range(5)])


def update_many(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(UPDATE[connection.vendor], [["updated", -number] for number in range(3)])


def copy_in(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_IN) as copy:
        for number in range(20):
            copy.write_row((number, "copied", MOMENT))


def copy_out(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_OUT) as copy:
        list(copy.rows())


def call_procedure(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.callproc("pg_backend_pid")


def stream(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        assert len(list(cursor.stream("SELECT generate_series(1, 3)"))) == 3


def savepoint(connection: BaseDatabaseWrapper) -> None:
    with transaction.atomic(using=connection.alias), transaction.atomic(using=connection.alias):
        execute(connection)


def savepoint_rolled_back(connection: BaseDatabaseWrapper) -> None:
    with transaction.atomic(using=connection.alias), suppress(KeyError), transaction.atomic(using=connection.alias):
        raise KeyError


def violate(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor, suppress(DatabaseError):
        cursor.execute(INSERT[connection.vendor], [None, None, MOMENT])


def misspell(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor, suppress(DatabaseError):
        cursor.execute("SELECT nothing FROM nowhere")


def refused(connection: BaseDatabaseWrapper) -> None:
    def refuse(*_arguments: Any) -> Any:
        raise PermissionError

    with connection.execute_wrapper(refuse), suppress(PermissionError):
        raw_read(connection)


class Call(NamedTuple):
    """A way to call, with the increments of the counters by operation, and of the servers by first word."""

    run: Callable[[BaseDatabaseWrapper], None]
    counted: Mapping[str, int]
    postgresql: Mapping[str, int] | None
    mysql: Mapping[str, int] | None = None


SAVED = {"SAVEPOINT": 1, "RELEASE": 1, "INSERT": 1}
ROLLED_BACK = {"SAVEPOINT": 1, "ROLLBACK_TO": 1, "RELEASE": 1}
READS = (
    Call(orm_read, {"read": 1}, {"SELECT": 1}, {"SELECT": 1}),
    Call(raw_read, {"read": 1}, {"SELECT": 1}, {"SELECT": 1}),
    Call(debugged_read, {"read": 1}, {"SELECT": 1}, {"SELECT": 1}),
    # A server-side cursor sends at least three statements: 7 rows, 5 at a time, and a last one that finds the end.
    Call(iterate, {"read": 1}, {"DECLARE": 1, "FETCH": 3, "CLOSE": 1}, {"SELECT": 1}),
    Call(copy_out, {"read": 1}, {"COPY": 1}),
    Call(call_procedure, {"read": 1}, {"SELECT": 1}),
    Call(stream, {"read": 1}, {"SELECT": 1}),
    # PostgreSQL does not count statements that fail.
    Call(misspell, {"read": 1}, {}, {"SELECT": 1}),
    Call(refused, {}, {}, {}),
)
CALLS = (
    *READS,
    Call(orm_write, {"write": 1}, {"UPDATE": 1}, {"UPDATE": 1}),
    Call(execute, {"write": 1}, {"INSERT": 1}, {"INSERT": 1}),
    # psycopg sends a statement for each row; mysqlclient joins the rows of an INSERT, and nothing else.
    Call(insert_many, {"write": 1}, {"INSERT": 5}, {"INSERT": 1}),
    Call(update_many, {"write": 1}, {"UPDATE": 3}, {"UPDATE": 3}),
    Call(copy_in, {"write": 1}, {"COPY": 1}),
    Call(savepoint, {"tx": 2, "write": 1}, SAVED, SAVED),
    Call(savepoint_rolled_back, {"tx": 3}, ROLLED_BACK, ROLLED_BACK),
    Call(violate, {"write": 1}, {}, {"INSERT": 1}),
)
BY_ALIAS = {
    "replica": [call for call in READS if call.postgresql is not None],
    "analytics": [call for call in CALLS if call.postgresql is not None],
    "legacy": [call for call in CALLS if call.mysql is not None],
}
# The ends of transactions, and the set-up and end of a connection.
APART = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "SET"})

POSTGRES_COUNTS = """
    SELECT CASE WHEN query ILIKE 'ROLLBACK TO%' THEN 'ROLLBACK_TO' ELSE upper(split_part(query, ' ', 1)) END,
        sum(calls)::int
    FROM pg_stat_statements JOIN pg_roles ON pg_roles.oid = userid WHERE rolname = 'app' GROUP BY 1
"""
MYSQL_COUNTS = """
    SELECT event_name, count_star FROM performance_schema.events_statements_summary_by_user_by_event_name
    WHERE user = 'app' AND count_star > 0 AND event_name LIKE 'statement/sql/%'
"""
POSTGRES_ROWS = "SELECT sum(rows)::int FROM pg_stat_statements JOIN pg_roles ON oid = userid WHERE rolname = 'app'"
MYSQL_ROWS = """
    SELECT CAST(sum(sum_rows_sent) + sum(sum_rows_affected) AS SIGNED)
    FROM performance_schema.events_statements_summary_by_user_by_event_name WHERE user = 'app'
"""
MYSQL_WORDS = {"RELEASE_SAVEPOINT": "RELEASE", "ROLLBACK_TO_SAVEPOINT": "ROLLBACK_TO", "SET_OPTION": "SET"}


def forget(servers: Servers, alias: str) -> None:
    """Reset the counters of the server."""
    if alias == "legacy":
        servers.ask(alias, "TRUNCATE performance_schema.events_statements_summary_by_user_by_event_name")
    else:
        servers.ask(alias, "SELECT pg_stat_statements_reset()")


def counted_by_server(servers: Servers, alias: str, apart: frozenset[str] = APART) -> Counter[str]:
    """Return the statements of the service's user that the server has counted, by their first word, except `apart`."""
    if alias == "legacy":
        words = ((name.rpartition("/")[2].upper(), number) for name, number in servers.ask(alias, MYSQL_COUNTS))
        counts = Counter({MYSQL_WORDS.get(word, word): number for word, number in words})
    else:
        counts = Counter(dict(servers.ask(alias, POSTGRES_COUNTS)))
    return Counter({word: number for word, number in counts.items() if word not in apart})


@contextmanager
def counting() -> Iterator[dict[str, Counter[str]]]:
    """Yield a dictionary; after the block it has the increments of the counters: alias -> operation -> number."""
    added: dict[str, Counter[str]] = {alias: Counter() for alias in connections}
    before = snapshot()
    yield added
    for (name, labels), value in snapshot().items():
        if name == QUERIES and value != before[name, labels]:
            of = dict(labels)
            added[of["alias"]][of["operation"]] += int(value - before[name, labels])


@pytest.mark.docker
def test_volume__of_a_mixed_load(real_databases: Servers) -> None:
    """After a thousand calls of all kinds on three servers, counters and servers agree exactly."""
    random = Random(20261122)
    load = [(alias, random.choice(BY_ALIAS[alias])) for alias in random.choices(list(BY_ALIAS), k=1_000)]
    fill()
    for alias in BY_ALIAS:
        connections[alias].ensure_connection()
        forget(real_databases, alias)

    with counting() as counted, allow_writes("legacy", reason="the load of a test"):
        for alias, call in load:
            call.run(connections[alias])

    for alias, ways in BY_ALIAS.items():
        calls = [call for of, call in load if of == alias]
        by_server = Counter[str]()
        by_operation = Counter[str]()
        for call in calls:
            by_server.update((call.mysql if alias == "legacy" else call.postgresql) or {})
            by_operation.update(call.counted)
        assert set(map(id, calls)) == set(map(id, ways)), "the load leaves a way to call out"
        assert counted_by_server(real_databases, alias) == by_server, alias
        assert counted[alias] == by_operation, alias


def fill() -> None:
    """Insert rows into each table that is read; permissions exist already."""
    with allow_writes("legacy", reason="rows for a test"):
        for alias in ("analytics", "legacy"):
            for _ in range(ROWS):
                execute(connections[alias])


def rolled_back(connection: BaseDatabaseWrapper) -> None:
    with suppress(KeyError), transaction.atomic(using=connection.alias):
        execute(connection)
        raise KeyError


def empty_transaction(connection: BaseDatabaseWrapper) -> None:
    with transaction.atomic(using=connection.alias):
        pass


def fetch_one(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 UNION SELECT 2")
        cursor.fetchone()


@pytest.mark.docker
@pytest.mark.parametrize("alias", ["analytics", "legacy"])
def test_volume__rows(real_databases: Servers, alias: str) -> None:
    """The rows that were returned and affected are those that the server counts."""
    fill()
    connections[alias].ensure_connection()
    forget(real_databases, alias)
    with increased(ROWS_SEEN) as rows, allow_writes("legacy", reason="the load of a test"):
        for call in (*BY_ALIAS[alias], Call(fetch_one, {}, {})):
            call.run(connections[alias])
    ((by_server,),) = real_databases.ask(alias, MYSQL_ROWS if alias == "legacy" else POSTGRES_ROWS)

    assert rows.total() == by_server
    assert rows[alias, "returned"] > rows[alias, "affected"] > 0


@pytest.mark.docker
@pytest.mark.parametrize("alias", ["analytics", "legacy"])
def test_volume__transactions(real_databases: Servers, alias: str) -> None:
    """The transactions are those that the server counts; PostgreSQL sees none without a statement."""
    connections[alias].ensure_connection()
    forget(real_databases, alias)
    with increased(TRANSACTIONS) as ended, allow_writes("legacy", reason="the load of a test"):
        for run in (execute, savepoint, savepoint_rolled_back, rolled_back, rolled_back, empty_transaction):
            run(connections[alias])
    by_server = counted_by_server(real_databases, alias, apart=frozenset())

    assert ended == {(alias, "commit"): by_server["COMMIT"], (alias, "rollback"): by_server["ROLLBACK"]}
    assert ended == {(alias, "commit"): 2 if alias == "analytics" else 3, (alias, "rollback"): 2}


@contextmanager
def increased(family: str) -> Iterator[Counter[tuple[str, ...]]]:
    """Yield a counter; after the block it has the increments of the family by label values."""
    added = Counter[tuple[str, ...]]()
    before = snapshot()
    yield added
    for (name, labels), value in snapshot().items():
        if name == family and value != before[name, labels]:
            added[tuple(value for _, value in labels)] = int(value - before[name, labels])


@pytest.mark.docker
def test_volume__connections(real_databases: Servers) -> None:
    """Each connection of the driver counts once; a pool counts those that it opens, and none that it lends."""
    pooled = connections["analytics"].copy()
    pooled = routed(pooled)
    pooled.settings_dict["CONN_MAX_AGE"] = 0
    pooled.settings_dict["OPTIONS"]["pool"] = {"min_size": 2, "max_size": 2, "timeout": 0.2}
    connections["replica"].close()
    with increased(CONNECTIONS_OPENED) as opened, increased(CONNECTIONS_CLOSED) as closed:
        for _ in range(3):
            raw_read(connections["replica"])
            connections["replica"].close()
        try:
            for _ in range(5):
                raw_read(pooled)
                pooled.close()
        finally:
            pooled.close_pool()

    assert opened == {("replica",): 3, ("analytics",): 2}
    assert closed == {("replica",): 3}


@pytest.mark.docker
def test_volume__of_connections_that_are_set_up_again(real_databases: Servers) -> None:
    """Django's statements at the set-up of a connection are not counted, the first time and each later time."""
    with counting() as counted:
        for alias in BY_ALIAS:
            for _ in range(3):
                raw_read(connections[alias])
                connections[alias].close()

    assert {alias: dict(counts) for alias, counts in counted.items() if counts} == {
        alias: {"read": 3} for alias in BY_ALIAS
    }


@pytest.mark.docker
def test_volume__through_a_pool(real_databases: Servers) -> None:
    """The calls on each connection from a pool are counted once; the lending itself is not counted."""
    pooled = connections["analytics"].copy()
    pooled.settings_dict["CONN_MAX_AGE"] = 0
    pooled.settings_dict["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 2}
    try:
        with counting() as counted:
            for _ in range(5):
                raw_read(pooled)
                copy_in(pooled)
                pooled.close()
    finally:
        pooled.close_pool()

    assert counted["analytics"] == {"read": 5, "write": 5}


@pytest.mark.docker
def test_volume__of_a_stored_procedure_on_mysql(real_databases: Servers) -> None:
    """A call of a procedure is one query and a write, whatever the procedure does."""
    real_databases.ask("legacy", "CREATE PROCEDURE one() SELECT 1")
    real_databases.ask("legacy", "GRANT EXECUTE ON PROCEDURE one TO app")
    try:
        with (
            allow_writes("legacy", reason="a procedure may write"),
            counting() as counted,
            connections["legacy"].cursor() as cursor,
        ):
            cursor.callproc("one")
            rows = cursor.fetchall()
    finally:
        real_databases.ask("legacy", "DROP PROCEDURE one")

    assert rows == ((1,),)
    assert counted["legacy"] == {"write": 1}
