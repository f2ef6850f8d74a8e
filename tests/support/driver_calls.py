"""Calls into a driver, each with what the counters of Switchyard and what each server counts for it.

A query is one call into the driver; servers count other units. CALLS is the one table that maps the units. The names of
its statements are the first words of the texts. BEGIN, COMMIT, ROLLBACK and SET are in no row: they end transactions
and set up connections.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

from django.contrib.auth.models import Permission
from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from analytics.models import AnalyticsEvent
from legacy.models import Customer

ROWS = 7  # in each table that is read
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
    list(_rows(connection))


def raw_read(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchall()


def fetch_one(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 UNION SELECT 2")
        cursor.fetchone()


def debugged_read(connection: BaseDatabaseWrapper) -> None:
    connection.force_debug_cursor = True
    raw_read(connection)
    connection.force_debug_cursor = False


def iterate(connection: BaseDatabaseWrapper) -> None:
    assert len(list(_rows(connection).iterator(chunk_size=5))) == ROWS


def orm_write(connection: BaseDatabaseWrapper) -> None:
    _objects(connection).filter(pk=-1).update(id=-1)


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


def violate(connection: BaseDatabaseWrapper) -> None:
    with suppress(DatabaseError), savepoint_in_transaction(connection), connection.cursor() as cursor:
        cursor.execute(INSERT[connection.vendor], [None, None, MOMENT])


def misspell(connection: BaseDatabaseWrapper) -> None:
    with suppress(DatabaseError), savepoint_in_transaction(connection), connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")


def refused(connection: BaseDatabaseWrapper) -> None:
    def refuse(*_arguments: Any) -> Any:
        raise PermissionError

    connection.ensure_connection()  # not inside the block: Django's own statements would be refused
    with connection.execute_wrapper(refuse), suppress(PermissionError):
        raw_read(connection)


def savepoint(connection: BaseDatabaseWrapper) -> None:
    with transaction.atomic(using=connection.alias), transaction.atomic(using=connection.alias):
        execute(connection)


def savepoint_rolled_back(connection: BaseDatabaseWrapper) -> None:
    with transaction.atomic(using=connection.alias), suppress(KeyError), transaction.atomic(using=connection.alias):
        raise KeyError


def savepoint_in_transaction(connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
    """Return a block for a statement that fails: PostgreSQL ends the whole transaction otherwise."""
    return transaction.atomic(using=connection.alias) if connection.in_atomic_block else nullcontext()


def _objects(connection: BaseDatabaseWrapper) -> Any:
    return MODELS[connection.alias]._default_manager.using(connection.alias)


def _rows(connection: BaseDatabaseWrapper) -> Any:
    return _objects(connection).order_by("pk")[:ROWS]


class Call(NamedTuple):
    """A way to call, and what counts it."""

    run: Callable[[BaseDatabaseWrapper], None]
    counted: Mapping[str, int]  # switchyard_queries_total, by operation
    postgresql: Mapping[str, int] | None  # pg_stat_statements.calls, by the first word; None if it cannot be called
    mysql: Mapping[str, int] | None = None  # performance_schema, by the first word
    returned: int = 0  # switchyard_rows_total; the sum of both is what servers count
    affected: int = 0
    failed: int = 0  # switchyard_query_errors_total
    autocommits: int = 1  # pg_stat_database.xact_commit, or xact_rollback if it failed: outside of a transaction
    commits: int = 0  # switchyard_transactions_total: a call with a transaction of its own


# Each is one query of the operation `tx`, and one statement on every server.
SAVED = {"SAVEPOINT": 1, "RELEASE": 1}
ROLLED_BACK = {"SAVEPOINT": 1, "ROLLBACK_TO": 1, "RELEASE": 1}
READS = (
    Call(orm_read, {"read": 1}, {"SELECT": 1}, {"SELECT": 1}, returned=ROWS),
    Call(raw_read, {"read": 1}, {"SELECT": 1}, {"SELECT": 1}, returned=1),
    Call(fetch_one, {"read": 1}, {"SELECT": 1}, {"SELECT": 1}, returned=2),
    Call(debugged_read, {"read": 1}, {"SELECT": 1}, {"SELECT": 1}, returned=1),
    # A server-side cursor sends at least three statements: 7 rows, 5 at a time, and a last one that finds the end.
    # psycopg also asks for the cursor's columns, by a message Describe: a transaction without a statement.
    Call(iterate, {"read": 1}, {"DECLARE": 1, "FETCH": 3, "CLOSE": 1}, {"SELECT": 1}, returned=ROWS, autocommits=6),
    Call(copy_out, {"read": 1}, {"COPY": 1}, returned=3),
    Call(call_procedure, {"read": 1}, {"SELECT": 1}, returned=1),
    Call(stream, {"read": 1}, {"SELECT": 1}, returned=3),
    # PostgreSQL does not count statements that fail.
    Call(misspell, {"read": 1}, {}, {"SELECT": 1}, failed=1),
    Call(refused, {}, {}, {}, autocommits=0),
)
CALLS = (
    *READS,
    Call(orm_write, {"write": 1}, {"UPDATE": 1}, {"UPDATE": 1}),
    Call(execute, {"write": 1}, {"INSERT": 1}, {"INSERT": 1}, affected=1),
    # psycopg sends a statement for each row, all in one transaction; mysqlclient joins the rows of an INSERT alone.
    Call(insert_many, {"write": 1}, {"INSERT": 5}, {"INSERT": 1}, affected=5),
    Call(update_many, {"write": 1}, {"UPDATE": 3}, {"UPDATE": 3}),
    Call(copy_in, {"write": 1}, {"COPY": 1}, affected=20),
    Call(violate, {"write": 1}, {}, {"INSERT": 1}, failed=1),
    Call(
        *(savepoint, {"tx": 2, "write": 1}, {**SAVED, "INSERT": 1}, {**SAVED, "INSERT": 1}),
        affected=1,
        autocommits=0,
        commits=1,
    ),
    Call(savepoint_rolled_back, {"tx": 3}, ROLLED_BACK, ROLLED_BACK, autocommits=0, commits=1),
)
BY_ALIAS = {
    "replica": [call for call in READS if call.postgresql is not None],
    "analytics": [call for call in CALLS if call.postgresql is not None],
    "legacy": [call for call in CALLS if call.mysql is not None],
}


class Opening(NamedTuple):
    """The opening of a connection, and what a server counts for it beside SET; switchyard_queries_total counts none."""

    statements: Mapping[str, int]  # when Django's wrapper is new, as in each thread; none when it opens again
    rows: int
    commits: int  # each time: pg_stat_database counts a transaction at the begin of a session


OPENING = {"postgresql": Opening({}, 0, commits=1), "mysql": Opening({"SELECT": 1}, 1, commits=0)}
# pg_stat_database.xact_commit each time that the pool of PostgreSQL lends a connection: it sends an empty query first.
LENDING_COMMITS = 1
