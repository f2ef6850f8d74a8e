"""Writes that a text hides, and every way through Django's API to run a text on an alias.

Each form writes a row of the table `written` unless the guard or the server refuses it. A form of several statements
first tries to make the session writable.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from threading import Thread
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import FieldDoesNotExist
from django.db import Error, connections, transaction
from django.db.migrations import RunSQL
from tests.support.servers import Servers
from tests.support.vendors import MySQLdb, psycopg

from switchyard.routing.errors import RoutingError

REFUSED = (RoutingError, Error, psycopg.Error, *([MySQLdb.Error] if MySQLdb else []))

# Forms that only the text can hide: any cursor may run them, also the driver's own.
HIDDEN: dict[str, list[tuple[str, ...]]] = {
    "postgresql": [
        ("SELECT tidy()",),
        ("WITH gone AS (DELETE FROM written RETURNING x) SELECT * FROM gone",),
        ("DO $$ BEGIN PERFORM tidy(); END $$",),
        ("EXPLAIN (ANALYZE) DELETE FROM written",),
        ("SELECT 1; SELECT tidy()",),
        ("SELECT set_config('transaction_read_only', 'off', false), tidy()",),
        ("PREPARE later AS DELETE FROM written", "EXECUTE later"),
        ("SELECT nextval('written_s')",),
        ("DELETE FROM written",),
    ],
    "mysql": [
        ("SELECT tidy()",),
        ("SET @a = tidy()",),
        ("DO tidy()",),
        ("SELECT tidy() INTO @a",),
        ("/*!999999 SELECT */ DELETE FROM written",),
        ("WITH c AS (SELECT 1 AS x) DELETE FROM written WHERE x IN (SELECT x FROM c)",),
        ("WITH c AS (SELECT 1 AS x) UPDATE (written) SET x = 7",),
        ("SELECT 1; SELECT tidy()",),
        ("CALL tidy_quietly()",),
        ("PREPARE later FROM 'DELETE FROM written'", "EXECUTE later"),
        ("DELETE FROM written",),
    ],
}
# Forms that change the access mode. The driver's own connection belongs to the program, which may change it there.
LOOSENED: dict[str, list[tuple[str, ...]]] = {
    "postgresql": [
        ("SET TRANSACTION READ WRITE; SELECT tidy()",),
        ("SELECT set_config('default_transaction_read_only', 'off', false); COMMIT; SELECT tidy()",),
        ("COMMIT; BEGIN READ WRITE; SELECT tidy(); COMMIT",),
        ("BEGIN READ WRITE", "SELECT tidy()", "COMMIT"),
        ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE", "SELECT tidy()", "COMMIT"),
        ("SET default_transaction_read_only = off", "SELECT tidy()"),
        ('SET SESSION "default_transaction_read_only" TO false', "SELECT tidy()"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "SELECT tidy()"),
        ("SELECT set_config('default_' || 'transaction_read_only', 'off', false)", "SELECT tidy()"),
        ("RESET ALL", "SELECT tidy()"),
        ("DISCARD ALL", "SELECT tidy()"),
        ("CALL tidy_up()",),
    ],
    "mysql": [
        ("SET SESSION TRANSACTION READ WRITE", "SELECT tidy()"),
        ("SET TRANSACTION READ WRITE", "SELECT tidy()"),
        ("SET @@transaction_read_only = 0", "SELECT tidy()"),
        ("SET SESSION transaction_read_only = OFF", "SELECT tidy()"),
        ("SET @@session.tx_read_only = 0", "SELECT tidy()"),
        ("/*!80000 SET SESSION TRANSACTION READ WRITE */", "SELECT tidy()"),
        ("START TRANSACTION READ WRITE", "SELECT tidy()", "COMMIT"),
        ("START TRANSACTION READ WRITE; SELECT tidy(); COMMIT",),
        ("SELECT loosen()", "SELECT tidy()"),
        ("SELECT loosen(); SELECT tidy()",),
        ("CALL tidy_up()",),
    ],
}
_LOOSENING_PROCEDURE = (
    "CREATE PROCEDURE tidy_up() LANGUAGE plpgsql AS"
    " $$ BEGIN COMMIT; SET default_transaction_read_only = off; COMMIT; DELETE FROM written; END $$"
)
_TABLES = {
    "postgresql": (
        "CREATE TABLE written (x int)",
        "CREATE SEQUENCE written_s",
        "INSERT INTO written VALUES (1)",
        "CREATE FUNCTION tidy() RETURNS int LANGUAGE sql AS 'INSERT INTO written VALUES (2) RETURNING x'",
        _LOOSENING_PROCEDURE,
        "GRANT ALL ON written TO PUBLIC",
        "GRANT ALL ON SEQUENCE written_s TO PUBLIC",
    ),
    "mysql": (
        "SET GLOBAL log_bin_trust_function_creators = 1",
        "CREATE TABLE written (x int)",
        "INSERT INTO written VALUES (1)",
        "CREATE FUNCTION tidy() RETURNS int DETERMINISTIC BEGIN INSERT INTO written VALUES (2); RETURN 1; END",
        "CREATE FUNCTION loosen() RETURNS int DETERMINISTIC BEGIN SET SESSION transaction_read_only = 0; RETURN 1; END",
        "CREATE PROCEDURE tidy_quietly() DELETE FROM written",
        "CREATE PROCEDURE tidy_up() BEGIN START TRANSACTION READ WRITE; DELETE FROM written; COMMIT; END",
        "GRANT EXECUTE, INSERT, DELETE, SELECT, UPDATE ON switchyard.* TO app@'%'",
    ),
}
_GONE = {
    "postgresql": (
        *("DROP PROCEDURE IF EXISTS tidy_up", "DROP FUNCTION IF EXISTS tidy", "DROP SEQUENCE IF EXISTS written_s"),
        "DROP TABLE IF EXISTS written",
    ),
    "mysql": (
        *("DROP PROCEDURE IF EXISTS tidy_up", "DROP PROCEDURE IF EXISTS tidy_quietly"),
        *("DROP FUNCTION IF EXISTS tidy", "DROP FUNCTION IF EXISTS loosen", "DROP TABLE IF EXISTS written"),
    ),
}
_STATE = {
    "postgresql": "SELECT count(*), sum(x), (SELECT last_value + is_called::int FROM written_s) FROM written",
    "mysql": "SELECT count(*), sum(x), 0 FROM written",
}


@contextmanager
def written_table(servers: Servers, server: str, vendor: str) -> Iterator[Callable[[], tuple[Any, ...]]]:
    """Make the table, its functions and procedures on the server; yield a function that returns the table's state."""
    servers.ask(server, *_GONE[vendor], *_TABLES[vendor])
    try:
        yield lambda: servers.ask(server, _STATE[vendor])[0]
    finally:
        servers.ask(server, *_GONE[vendor])


def _run(cursor: Any, sql: str) -> None:
    """Execute, and read every result."""
    cursor.execute(sql)
    while getattr(cursor, "nextset", lambda: None)():
        pass


def _execute(alias: str, sql: str) -> None:
    with connections[alias].cursor() as cursor:
        _run(cursor, sql)


def _executemany(alias: str, sql: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.executemany(sql, [()])


def _chunked_cursor(alias: str, sql: str) -> None:
    with connections[alias].chunked_cursor() as cursor:
        cursor.execute(sql)
        cursor.fetchall()


def _raw(alias: str, sql: str) -> None:
    from accounts.models import User  # noqa: PLC0415 - the apps are loaded when a test runs

    with suppress(FieldDoesNotExist, TypeError):  # the result holds no users; the statement has run by then
        list(User.objects.using(alias).raw(sql))


def _run_sql(alias: str, sql: str) -> None:
    with connections[alias].schema_editor() as editor:
        RunSQL(sql).database_forwards(alias if alias in {"analytics", "legacy"} else "accounts", editor, None, None)


def _schema_editor(alias: str, sql: str) -> None:
    with connections[alias].schema_editor() as editor:
        editor.execute(sql)


def _on_commit(alias: str, sql: str) -> None:
    with transaction.atomic(alias):
        transaction.on_commit(lambda: _execute(alias, sql), using=alias)


def _savepoint(alias: str, sql: str) -> None:
    with transaction.atomic(alias), transaction.atomic(alias):
        _execute(alias, sql)


def _second_in_transaction(alias: str, sql: str) -> None:
    with transaction.atomic(alias):
        _execute(alias, "SELECT 1")
        _execute(alias, sql)


def _without_autocommit(alias: str, sql: str) -> None:
    transaction.set_autocommit(False, using=alias)
    try:
        _execute(alias, sql)
        transaction.commit(using=alias)
    finally:
        transaction.rollback(using=alias)
        transaction.set_autocommit(True, using=alias)


def _async(alias: str, sql: str) -> None:
    async_to_sync(sync_to_async(_execute))(alias, sql)


def _in_a_thread(alias: str, sql: str) -> None:
    def work() -> None:
        try:
            with suppress(*REFUSED):
                _execute(alias, sql)
        finally:
            connections[alias].close()

    thread = Thread(target=work)
    thread.start()
    thread.join()


def _copied_connection(alias: str, sql: str) -> None:
    with closing(connections[alias].copy()) as copied, copied.cursor() as cursor:
        _run(cursor, sql)


def _stream(alias: str, sql: str) -> None:
    with connections[alias].cursor() as cursor:
        list(cursor.stream(sql))


def _copy(alias: str, sql: str) -> None:
    with connections[alias].cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT") as copy:
        list(copy)


def _drivers_cursor(alias: str, sql: str) -> None:
    connections[alias].ensure_connection()
    with connections[alias].connection.cursor() as cursor:
        _run(cursor, sql)


def _drivers_cursor_in_a_transaction(alias: str, sql: str) -> None:
    with transaction.atomic(alias):
        _drivers_cursor(alias, sql)


_WAYS = {
    "execute": _execute,
    "executemany": _executemany,
    "chunked_cursor": _chunked_cursor,
    "raw": _raw,
    "RunSQL": _run_sql,
    "schema_editor": _schema_editor,
    "on_commit": _on_commit,
    "savepoint": _savepoint,
    "second in a transaction": _second_in_transaction,
    "without autocommit": _without_autocommit,
    "async": _async,
    "in a thread": _in_a_thread,
    "copied connection": _copied_connection,
}
WAYS = {"postgresql": _WAYS | {"stream": _stream, "copy": _copy}, "mysql": _WAYS}
DRIVERS_WAYS = {
    "driver's cursor": _drivers_cursor,
    "driver's cursor in a transaction": _drivers_cursor_in_a_transaction,
}


def attempt(way: Callable[[str, str], None], alias: str, form: tuple[str, ...]) -> None:
    """Run each statement of the form that way, also after the refusal of another one; leave no transaction open."""
    for sql in form:
        with suppress(*REFUSED):
            way(alias, sql)
    if (driver := connections[alias].connection) is not None:
        driver.rollback()
