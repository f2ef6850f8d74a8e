"""Ask a server about a statement of the corpus: does its read-only transaction refuse it, and did it write?

Each statement runs twice on a connection of its own: in a read-only transaction, and unless that refuses it, in one
that is rolled back. A judge returns `reads` or `writes`, or the message of another error.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import ExecStatus
from tests.support.corpus import OVERLOADS, WRITERS, Line

type Judge = Callable[[Line], str]

_READ_ONLY, _NO_BLOCK = "25006", "25001"  # a read-only transaction refuses; the statement runs alone only
_MYSQL_READ_ONLY = frozenset({1290, 1792, 1836})
_TABLES = ("a", "b", "k", "log", "p")


def prepare_postgresql(connection: psycopg.Connection, *, overloads: bool) -> None:
    """Make the tables and functions of the corpus in an empty database."""
    for sql in (
        "CREATE EXTENSION tablefunc; CREATE EXTENSION dblink; CREATE SCHEMA corpus; SET search_path TO corpus, public",
        "CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE log (x int); CREATE TABLE k (x int PRIMARY KEY)",
        "CREATE TABLE p1 (x int) PARTITION BY LIST (x); CREATE MATERIALIZED VIEW m AS SELECT 1 AS x; CREATE SEQUENCE s",
        "INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1), (2); INSERT INTO k VALUES (1)",
        "CREATE FUNCTION quiet(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT max(x) FROM corpus.a'",
        "CREATE PROCEDURE tidy_up(int) LANGUAGE sql AS 'DELETE FROM corpus.a WHERE x = $1'",
        "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    ):
        connection.execute(sql)
    body = "'INSERT INTO corpus.log VALUES (1) RETURNING x'"
    names = (*WRITERS["postgresql"], *(OVERLOADS["postgresql"] if overloads else ()))
    for name in names:
        connection.execute(f'CREATE FUNCTION "{name}"(i int) RETURNS int LANGUAGE sql AS {body}')
    connection.execute(f"CREATE FUNCTION mop(VARIADIC i int[]) RETURNS int LANGUAGE sql AS {body}")
    if overloads:
        connection.execute('CREATE SCHEMA "PG_CATALOG"')
        connection.execute(f'CREATE FUNCTION "PG_CATALOG".rtrim(i int) RETURNS int LANGUAGE sql AS {body}')


def postgresqls_judge(connect: Callable[[], psycopg.Connection]) -> Judge:
    """Return the judge; `connect` opens a connection in autocommit to a prepared database."""

    def run(line: Line, mode: bytes) -> str:
        with closing(connect()) as connection:
            send = connection.pgconn.exec_
            send(b"SET search_path TO corpus, public; " + line.before.encode())
            state = b"SELECT last_value, is_called, pg_current_xact_id_if_assigned() IS NOT NULL FROM corpus.s"
            send(b"BEGIN " + mode)
            before = _row(send(state))
            error = _run_all(connection.pgconn, line.sql)
            if error is not None and error[0] == _NO_BLOCK:
                return _run_alone(connection.pgconn, line, mode)
            if error is not None:
                return "refused" if error[0] == _READ_ONLY else error[1]
            return "reads" if _row(send(state)) == before else "writes"

    def judge(line: Line) -> str:
        read_only = run(line, b"READ ONLY")
        verdict = run(line, b"READ WRITE") if read_only in {"reads", "writes"} else read_only
        return "writes" if verdict == "refused" else verdict

    return judge


def _row(result: Any) -> list[bytes | None]:
    return [result.get_value(0, column) for column in range(result.nfields)]


def _run_all(pgconn: Any, sql: str) -> tuple[str, str] | None:
    """Run the text with the simple protocol; return the SQLSTATE and the message of an error."""
    result = pgconn.exec_(sql.encode())
    if result.status == ExecStatus.COPY_OUT:
        while pgconn.get_copy_data(0)[0] > 0:
            pass
        while (following := pgconn.get_result()) is not None:
            result = following
    if result.status != ExecStatus.FATAL_ERROR:
        return None
    return result.error_field(67).decode(), result.error_message.decode()


def _run_alone(pgconn: Any, line: Line, mode: bytes) -> str:
    pgconn.exec_(b"ROLLBACK")
    pgconn.exec_(b"SET SESSION CHARACTERISTICS AS TRANSACTION " + mode)
    newest = b"SELECT pg_snapshot_xmax(pg_current_snapshot())"
    before = _row(pgconn.exec_(newest))
    error = _run_all(pgconn, line.sql)
    if error is not None:
        return "refused" if error[0] == _READ_ONLY else error[1]
    return "reads" if _row(pgconn.exec_(newest)) == before else "writes"


def prepare_mysql(connection: Any, *, overloads: bool, is_mariadb: bool) -> None:
    """Make the database `corpus` with its tables and functions."""
    body = "BEGIN INSERT INTO corpus.log VALUES (i); RETURN i; END"
    names = (*WRITERS["mysql"], *(OVERLOADS["mysql"] if overloads else ()))
    parts = "PARTITION p0 VALUES LESS THAN (5), PARTITION p1 VALUES LESS THAN MAXVALUE"
    with closing(connection.cursor()) as cursor:
        for sql in (
            *("DROP DATABASE IF EXISTS corpus", "CREATE DATABASE corpus CHARACTER SET utf8mb4", "USE corpus"),
            *("CREATE TABLE a (x int)", "CREATE TABLE b (x int)", "CREATE TABLE k (x int PRIMARY KEY)"),
            *("CREATE TABLE log (x int)", "CREATE TABLE f (t varchar(10), FULLTEXT (t))"),
            f"CREATE TABLE p (x int) PARTITION BY RANGE (x) ({parts})",
            *(f"INSERT INTO {table} VALUES (1)" for table in _TABLES),
            *("INSERT INTO a VALUES (2)", "INSERT INTO b VALUES (2)", "INSERT INTO f VALUES ('x')"),
            "CREATE FUNCTION quiet(i int) RETURNS int READS SQL DATA RETURN (SELECT max(x) FROM corpus.a)",
            "CREATE PROCEDURE tidy_up(i int) DELETE FROM corpus.a WHERE x = i",
            *("DROP USER IF EXISTS corpus_u", "CREATE USER corpus_u IDENTIFIED BY 'x'"),
            *(f"CREATE FUNCTION `{name}`(i int) RETURNS int READS SQL DATA {body}" for name in names),
            *(("CREATE SEQUENCE sq", "CREATE TABLE h (x int) WITH SYSTEM VERSIONING") if is_mariadb else ()),
        ):
            cursor.execute(sql)


def remove_mysql(connection: Any) -> None:
    """Remove the database and the user of the corpus."""
    with closing(connection.cursor()) as cursor:
        cursor.execute("DROP DATABASE corpus")
        cursor.execute("DROP USER corpus_u")


def mysqls_judge(connect: Callable[[], Any]) -> Judge:
    """Return the judge, also for MariaDB; `connect` opens a connection in autocommit to the database `corpus`."""

    def run(line: Line, mode: str) -> str:
        with closing(connect()) as connection:
            _send(connection, line.before or "SELECT 1")
            _send(connection, f"SET SESSION TRANSACTION {mode}")
            before = _rows(connection)
            if mode == "READ WRITE":
                _send(connection, "START TRANSACTION")
            try:
                _send(connection, line.sql)
            except connection.Error as error:
                return "refused" if error.args[0] in _MYSQL_READ_ONLY else str(error)
            return "reads" if _rows(connection) == before else "writes"

    def judge(line: Line) -> str:
        read_only = run(line, "READ ONLY")
        verdict = run(line, "READ WRITE") if read_only in {"reads", "writes"} else read_only
        return "writes" if verdict == "refused" else verdict

    return judge


def _send(connection: Any, sql: str) -> list[Any]:
    """Run the text; return the rows of its first statement."""
    connection.query(sql.encode())
    result = connection.store_result()
    rows = list(result.fetch_row(maxrows=0)) if result else []
    while connection.next_result() == 0:
        connection.store_result()
    return rows


def _rows(connection: Any) -> list[Any]:
    _send(connection, "UNLOCK TABLES")
    return [_send(connection, f"SELECT count(*), sum(x) FROM corpus.{table}") for table in _TABLES]


def sqlites_judge(directory: Path) -> Judge:
    """Return the judge, on files in the directory."""
    file = directory / "corpus.sqlite3"

    def run(line: Line, mode: str) -> str:
        file.unlink(missing_ok=True)
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.executescript(
                "PRAGMA synchronous = OFF; CREATE TABLE a (x int); CREATE INDEX a_x ON a (x);"
                "CREATE TABLE b (x int, y int);"
                "CREATE TABLE k (x int PRIMARY KEY); CREATE TABLE log (x int);"
                "INSERT INTO a VALUES (1), (2); INSERT INTO b (x) VALUES (1), (2); INSERT INTO k VALUES (1)"
            )
        with closing(sqlite3.connect(f"file:{file}?mode={mode}", uri=True, isolation_level=None)) as connection:

            def tidy(value: int) -> int:
                connection.execute("INSERT INTO log VALUES (?)", [value])
                return value

            connection.create_function("quiet", 1, lambda value: value)
            for name in WRITERS["sqlite"]:
                connection.create_function(name, 1, tidy)
            connection.execute("BEGIN")
            before = connection.serialize()
            try:
                for statement in _statements(line.sql):
                    connection.execute(statement).fetchall()
                return "reads" if connection.serialize() == before else "writes"
            except sqlite3.Error as error:
                # A function that writes fails in its own words.
                is_refusal = "readonly" in str(error) or (mode == "ro" and "user-defined" in str(error))
                return "refused" if is_refusal else str(error)
            finally:
                with suppress(sqlite3.Error):
                    connection.rollback()

    def judge(line: Line) -> str:
        read_only = run(line, "ro")
        verdict = run(line, "rw") if read_only in {"reads", "writes"} else read_only
        return "writes" if verdict == "refused" else verdict

    return judge


def _statements(sql: str) -> Iterator[str]:
    begin = 0
    for end, character in enumerate(sql, start=1):
        if character == ";" and sqlite3.complete_statement(sql[begin:end]):
            yield sql[begin:end]
            begin = end
    if sql[begin:].strip():
        yield sql[begin:]
