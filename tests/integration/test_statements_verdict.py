"""The servers' own verdict on statements: may_write() is true for each statement that writes.

Each text runs in a transaction that is rolled back. A text with several statements is one case.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import ExecStatus
from tests.support.orm_reads import texts_of
from tests.support.servers import Servers

from switchyard.routing.monitor.probes.volatile_functions import Catalog, cache_catalog, may_write, read_catalog
from switchyard.sql.classifier import classify

pytestmark = pytest.mark.docker
SETTINGS = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
type Run = Callable[[str], bool | None]  # whether the server wrote; None if it refused the text


def verdict(run: Run, vendor: str, sql: str) -> str:
    """Run the text and return the result in one word; fail if the server wrote during a text classified as a read."""
    wrote = run(sql)
    statement = classify(sql, vendor)

    assert not wrote or may_write(statement, vendor), (sql, statement)
    if wrote is None:
        return "refused"
    return "wrote" if wrote else "quiet" if not may_write(statement, vendor) else "assumed"


def count_verdicts(run: Run, vendor: str, texts: st.SearchStrategy[str]) -> Counter[str]:
    """Run the texts; return how many of them the server wrote, and how many were rightly or wrongly taken for reads."""
    seen: Counter[str] = Counter()

    @SETTINGS
    @given(sql=texts)
    def each(sql: str) -> None:
        seen[verdict(run, vendor, sql)] += 1

    each()
    return seen


def filled(pattern: str, **parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return texts of the pattern, with a new draw for each part."""
    return st.fixed_dictionaries(parts).map(pattern.format_map)


BLANKS = st.sampled_from([" ", "\n", "\t", " /* ' ( */ ", " -- ' (\n", ""])
DECOYS = {
    "postgresql": ["'tidy(1)'", "$$tidy(1)$$", "$q$'$q$", "E'\\''", "E'x'\n'\\''", "'\\'", "U&'\\0027'", "'it''s'"],
    "mysql": ["'tidy(1)'", '"tidy(1)"', "'\\''", "'it''s'", "'\\\\'", "0x27", "1e5", "N'x'", "@a"],
    "sqlite": ["'tidy(1)'", "'\\'", "'it''s'", "x'27'", "'--'", "1.5e3"],
}
QUIET = {
    "postgresql": [
        "random()",
        "clock_timestamp()",
        "lower('X')",
        "pg_sleep(0)",
        "length(gen_random_uuid()::text)",
        "pg_catalog.now()",
        "5 % 2",
        "1::numeric(3, 1)",
        "quiet(1)",
        "(SELECT max(x) FROM a)",
        "ARRAY(SELECT 1)",
        "'2020-01-01'::timestamp with time zone",
        "(2 > 1)",
        "ROW(1, 2)",
        "\"lower\"('X')",
        ".5",
        "(a.*)::text",
    ],
    "mysql": [
        "rand()",
        "now(6)",
        "lower('X')",
        "sleep(0)",
        "uuid()",
        "5 % 2",
        "`lower`('X')",
        "(SELECT max(x) FROM a)",
        "IF(1, 2, 3)",
        "CAST(1 AS decimal(3, 1))",
        "INSERT('abc', 1, 1, 'x')",
        "-(1)",
        "5 DIV (2)",
        ".5",
        "quiet(1)",
    ],
    "sqlite": [
        "random()",
        "strftime('%s')",
        "lower('X')",
        "5 % 2",
        "\"lower\"('X')",
        "(SELECT max(x) FROM a)",
        ".5",
        "iif(1, 2, 3)",
        "CAST(1 AS decimal(3, 1))",
        "-(1)",
        "json_array_length('[1]')",
        "sqlite_version()",
    ],
}
LOUD = {
    "postgresql": [
        "tidy{}(1)",
        "verdict{}.{}tidy(1)",
        '"tidy"{}(1)',
        "TiDy{}(1)",
        'U&"t\\0069dy"{}(1)',
        '"LOWER"{}(1)',
        "verdict.lower{}(1)",
        "verdict.in{}(1)",
        'verdict."values"(1)',
        "update{}(1)",
        "😀{}(1)",
        "is{}(1)",
        "(SELECT tidy(1){})",
        "stirring(1)",
        "nextval{}('s')",
        "setval('s', 10)",
        "pg_current_xact_id()",
        "null$lower(1)",
        "CASE WHEN true{} THEN tidy(1) END",
        "ARRAY[tidy{}(1)]",
        "lo_create{}(0)",
        "(WITH y(c) AS (SELECT tidy(1)) TABLE y)",
    ],
    "mysql": [
        "tidy(1)",
        "v.tidy{}(1)",
        "`tidy`{}(1)",
        "TIDY (1)",
        "v.lower{}(1)",
        "1tidy{}(1)",
        "`LOWER_`(1)",
        "$tidy(1)",
        "(SELECT tidy(1))",
        "IF(1, tidy(1), 2)",
        "/*! tidy(1) + */ 1",
        "/*!50000 tidy(1) */",
        "é(1)",
        "/*!999999 ' */ tidy(1) /*!999999 ' */",
    ],
    "sqlite": [
        "tidy{}(1)",
        '"tidy"{}(1)',
        "[tidy]{}(1)",
        "`tidy`{}(1)",
        "TIDY{}(1)",
        "(SELECT tidy(1))",
        "left{}(1)",
        "iif(1, tidy(1), 2)",
        "coalesce(NULL, tidy{}(1))",
    ],
}


def expressions(vendor: str) -> st.SearchStrategy[str]:
    """Return lists of expressions; one in three calls a function that writes."""
    loud = st.sampled_from(LOUD[vendor]).flatmap(
        lambda call: st.lists(BLANKS, min_size=call.count("{}"), max_size=call.count("{}")).map(
            lambda b: call.format(*b)
        )
    )
    quiet = st.sampled_from(QUIET[vendor]) | st.sampled_from(DECOYS[vendor])
    one = st.one_of(quiet, quiet, loud)
    commented = st.tuples(one, st.sampled_from([" ", " /* tidy(1) ' */ ", " -- tidy(1) '\n"])).map("".join)
    return st.lists(commented, min_size=1, max_size=4).map(", ".join)


SHAPES = [
    "SELECT {e} FROM a",
    "SELECT x FROM a WHERE x IN (1) OR coalesce(NULL, {o}) IS NULL",
    "SELECT x FROM a ORDER BY {e}",
    "WITH b (y) AS (SELECT {o}) SELECT * FROM b",
    "SELECT count(*), b.* FROM a AS b JOIN (SELECT {e} FROM a) c ON (1 = 1) GROUP BY b.x",
    "SELECT sum(x) OVER (PARTITION BY {o} ORDER BY (x)) FROM a",
    "(SELECT {o} FROM a) UNION ALL (SELECT {o} FROM a)",
    "SELECT 1; SELECT {e}",
    "EXPLAIN SELECT {e} FROM a",
    "DELETE FROM a WHERE {o} IS NULL",
    "INSERT INTO a (x) VALUES (7), ((SELECT 2))",
    "UPDATE a SET x = x + 1",
    "WITH b AS (SELECT 1 AS x) DELETE FROM a WHERE x IN (SELECT x FROM b)",
]
POSTGRESQL = [
    "SELECT y FROM a AS b (y) WHERE y::numeric(3, 1) > (0) AND {o} IS NOT NULL",
    "WITH b AS (DELETE FROM a RETURNING *) SELECT * FROM b",
    "WITH b AS MATERIALIZED (INSERT INTO a (x) VALUES (3) RETURNING x) SELECT {e} FROM b",
    "SELECT * FROM a, LATERAL (SELECT {e}) AS b",
    "SELECT DISTINCT ON (x) {e} FROM a",
    "SELECT count(*) FILTER (WHERE {o} IS NULL) OVER (ORDER BY (x)) FROM a",
    "SELECT * FROM a LIMIT length(({o})::text)",
    "WITH b (y) AS (SELECT 1) (SELECT x FROM a) LIMIT length(({o})::text)",
    "VALUES (1), (2); VALUES ({e})",
    "TABLE a",
    "COPY (SELECT {e} FROM a) TO STDOUT",
    "COPY a (x) TO STDOUT",
    "COPY (DELETE FROM a RETURNING x) TO STDOUT",
    "SELECT {e} INTO b FROM a",
    "CREATE TEMP TABLE b AS SELECT {e}",
    "DO $$ BEGIN PERFORM verdict.tidy(1); END $$",
    "DO $$ BEGIN PERFORM 1; END $$",
    "CALL tidy_up(1)",
    "EXPLAIN ANALYZE SELECT {e} FROM a",
    "EXPLAIN (ANALYZE, VERBOSE off) SELECT {e} FROM a",
    "EXPLAIN (ANALYZE false) DELETE FROM a",
    "EXPLAIN (ANALYZE false, ANALYZE) DELETE FROM a",
    "EXPLAIN ANALYZE DELETE FROM a",
    "MERGE INTO a USING (SELECT 1 AS y) b ON x = y WHEN MATCHED THEN UPDATE SET x = 9",
    "PREPARE p AS DELETE FROM a; EXECUTE p; DEALLOCATE p",
    "PREPARE p AS SELECT {e}; EXECUTE p; DEALLOCATE p",
    "DECLARE c CURSOR FOR SELECT {e} FROM a; FETCH ALL FROM c; CLOSE c",
    "SELECT x FROM a FOR UPDATE",
    "SELECT x FROM a FOR KEY SHARE OF a SKIP LOCKED",
    "LOCK TABLE a IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE a IN SHARE MODE",
    "NOTIFY c, 'x'",
    "SAVEPOINT p; SELECT {e}; RELEASE SAVEPOINT p",
    "SET LOCAL search_path TO verdict; SELECT {e}",
    "WITH RECURSIVE b(n) AS (SELECT 1 UNION ALL SELECT n FROM b WHERE false) SEARCH DEPTH FIRST BY n SET o SELECT {e}",
    "WITH RECURSIVE b(n) AS (SELECT 1 UNION ALL SELECT n FROM b WHERE false) CYCLE n SET c USING p DELETE FROM a",
    "WITH RECURSIVE b(n) AS (SELECT 1 UNION ALL SELECT n FROM b WHERE false) CYCLE n SET c USING p (SELECT {e})",
    'EXPLAIN ("analyze") SELECT {e}',
    'EXPLAIN (VERBOSE, U&"\\0061nalyze") DELETE FROM a',
    "SELECT * FROM (VALUES (1)) v(y), LATERAL (SELECT {o}) w(z)",
    "SELECT * FROM ROWS FROM (generate_series(1, 2)) v(y) WHERE {o} IS NOT NULL",
    "COPY (WITH b AS (SELECT 1) DELETE FROM a RETURNING x) TO STDOUT",
    "SELECT set_config('a.b', 'c', true), {e}",
    "SELECT pg_advisory_xact_lock(1), {e}",
    "SELECT stir(x) FROM a GROUP BY GROUPING SETS ((), (x))",
    "SELECT calm(x) FROM a",
    "/* a /* nested */ ' */ SELECT {e} --\r FROM a",
    "SELECT 1 AS with, {e}",
    "TRUNCATE a",
    "CREATE INDEX ON a (x)",
    "ANALYZE a",
    "GRANT SELECT ON a TO PUBLIC",
]
PG_SCHEMA = """
    DROP SCHEMA IF EXISTS verdict CASCADE; CREATE SCHEMA verdict; SET search_path TO verdict;
    CREATE TABLE a (x int); INSERT INTO a VALUES (1), (2); CREATE TABLE log (x int); CREATE SEQUENCE s;
    CREATE FUNCTION quiet(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT max(x) FROM verdict.a';
    CREATE FUNCTION stirred(int, int) RETURNS int LANGUAGE sql AS 'INSERT INTO verdict.log VALUES ($2) RETURNING x';
    CREATE AGGREGATE stir(int) (SFUNC = stirred, STYPE = int);
    CREATE AGGREGATE calm(int) (SFUNC = int4pl, STYPE = int);
    CREATE FUNCTION stirring(int) RETURNS int LANGUAGE sql AS 'SELECT verdict.stir($1)';
    CREATE PROCEDURE tidy_up(int) LANGUAGE sql AS 'DELETE FROM verdict.a WHERE x = $1';
"""
# the names that texts use, folded; quoted in CREATE FUNCTION
WRITERS = ["tidy", "LOWER", "lower", "in", "values", "update", "\N{GRINNING FACE}", "is", "null$lower"]


@pytest.fixture(scope="module")
def postgresql(servers: Servers) -> Iterator[psycopg.Connection]:
    """A connection to a schema with functions that write; the read-only functions of the server are loaded."""
    with closing(servers.admin("default")) as connection:
        connection.execute(PG_SCHEMA)
        for name in WRITERS:
            body = "'INSERT INTO verdict.log VALUES ($1) RETURNING x'"
            connection.execute(f'CREATE FUNCTION "{name}"(int) RETURNS int LANGUAGE sql AS {body}')
        cache_catalog("postgresql", read_catalog(connection.cursor(), "postgresql"))
        yield connection
        connection.execute("DROP SCHEMA verdict CASCADE")
        cache_catalog("postgresql", Catalog())


def on_postgresql(connection: psycopg.Connection) -> Run:
    """Return a function that runs a text with the simple protocol, like a driver without parameters."""
    send = connection.pgconn.exec_

    def value(sql: bytes) -> bytes | None:
        return send(sql).get_value(0, 0)

    def run(sql: str) -> bool | None:
        before = value(b"SELECT (s.*)::text FROM verdict.s")
        send(b"BEGIN")
        result = send(sql.encode())
        while result.status == ExecStatus.COPY_OUT:
            while connection.pgconn.get_copy_data(0)[0] > 0:
                pass
            result = connection.pgconn.get_result() or result
            while connection.pgconn.get_result() is not None:
                pass
            break
        wrote = None
        if result.status != ExecStatus.FATAL_ERROR:
            assigned = value(b"SELECT pg_current_xact_id_if_assigned() IS NOT NULL") == b"t"
            wrote = assigned or value(b"SELECT (s.*)::text FROM verdict.s") != before
        send(b"ROLLBACK")
        send(b"SELECT setval('verdict.s', 1, false)")
        return wrote

    return run


def test_classify__postgresqls_verdict(postgresql: psycopg.Connection) -> None:
    """No text that got a transaction id or moved a sequence is a read, and texts that write nothing are reads."""
    expressed = expressions("postgresql")
    one = st.one_of(
        st.sampled_from(QUIET["postgresql"]), st.sampled_from(["tidy(1)", "verdict.lower(1)", "stirring(1)"])
    )
    texts = st.sampled_from([*SHAPES, *POSTGRESQL]).flatmap(lambda shape: filled(shape, e=expressed, o=one))
    seen = count_verdicts(on_postgresql(postgresql), "postgresql", texts)

    assert seen["wrote"] > 50, seen
    assert seen["quiet"] > 50, seen
    assert seen["refused"] < seen.total() / 4, seen


@pytest.mark.parametrize("shape", [*SHAPES, *POSTGRESQL])
@pytest.mark.parametrize("called", ["tidy(1)", "quiet(1)"])
def test_classify__postgresqls_verdict_on_each_shape(postgresql: psycopg.Connection, shape: str, called: str) -> None:
    """Each kind of statement runs, and is classified rightly, with a function that writes and with a read-only one."""
    assert verdict(on_postgresql(postgresql), "postgresql", shape.format(e=called, o=called)) != "refused"


MYSQL = [
    "SELECT {o} INTO @b FROM a LIMIT 1",
    "SET @b = {o}",
    "SET @b = (SELECT {o} FROM a LIMIT 1), @c = 1",
    "DO {o}",
    "CALL tidy_up(1)",
    "EXPLAIN ANALYZE SELECT {e} FROM a",
    "EXPLAIN SELECT * FROM a, (SELECT {o} AS y) b",
    "/*! INSERT INTO a (x) VALUES (3) */",
    "SELECT /*!50000 {o}, */ 1",
    "SELECT x FROM a USE INDEX () WHERE x DIV (2) = 1 AND {o} IS NULL",
    "SELECT x FROM a FOR UPDATE",
    "SELECT x FROM a LOCK IN SHARE MODE",
    "REPLACE INTO a (x) VALUES (3)",
    "INSERT a SET x = 4",
    "INSERT INTO a (x) VALUES (1) ON DUPLICATE KEY UPDATE x = 2",
    "UPDATE a, log SET a.x = 9",
    "DELETE a FROM a JOIN log ON (1 = 1)",
    "PREPARE p FROM 'DELETE FROM a'; EXECUTE p; DEALLOCATE PREPARE p",
    "VALUES ROW(1, 2), ROW({o}, 3)",
    "TABLE a",
    "SELECT GET_LOCK('x', 0), {o}",
    "WITH b AS (SELECT 1) UPDATE (a) SET x = 5",
    "WITH b AS (SELECT {o} AS y) DELETE FROM a",
    "/*!999999 SELECT */ DELETE FROM a",
    "SELECT /*!999999 ' */ {o} /*!999999 ' */",
    "SELECT {o}, '\\'' AS b",
    "SELECT * FROM (SELECT {o}) AS b (y)",
    "SELECT JSON_EXTRACT('[1]', '$[0]'), {o} # ' tidy(1)",
    "SELECT 1 --\x01 '\n, {o}",
]
MY_WRITERS = ["tidy", "lower", "1tidy", "$tidy", "LOWER_", "\N{LATIN SMALL LETTER E WITH ACUTE}"]


@pytest.fixture(scope="module")
def mysql(servers: Servers) -> Iterator[Any]:
    """A connection to a database with functions that write."""
    with closing(servers.admin("legacy")) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("SET NAMES utf8mb4")
        connection.set_character_set("utf8mb4")
        body = "BEGIN INSERT INTO v.log VALUES (i); RETURN i; END"
        for sql in (
            "DROP DATABASE IF EXISTS v",
            "CREATE DATABASE v",
            "USE v",
            "CREATE TABLE a (x int)",
            "CREATE TABLE log (x int)",
            "INSERT INTO a VALUES (1), (2)",
            "INSERT INTO log VALUES (1)",
            "CREATE FUNCTION quiet(i int) RETURNS int READS SQL DATA RETURN (SELECT max(x) FROM v.a)",
            "CREATE PROCEDURE tidy_up(i int) DELETE FROM v.a WHERE x = i",
            *(f"CREATE FUNCTION `{name}`(i int) RETURNS int READS SQL DATA {body}" for name in MY_WRITERS),
        ):
            cursor.execute(sql)
        cache_catalog("mysql", read_catalog(cursor, "mysql"))
        yield connection
        connection.rollback()
        cache_catalog("mysql", Catalog())
        cursor.execute("DROP DATABASE v")


def on_mysql(connection: Any) -> Run:
    """Return a function that runs a text, and reads how many rows of the tables were written meanwhile."""
    written = (
        "SELECT coalesce(sum(count_write), 0) FROM performance_schema.table_io_waits_summary_by_table"
        " WHERE object_schema = 'v'"
    )

    def value() -> int:
        connection.query(written)
        return int(connection.store_result().fetch_row()[0][0])

    def run(sql: str) -> bool | None:
        before = value()
        connection.query("BEGIN")
        try:
            connection.query(sql)
            connection.store_result()
            while connection.next_result() == 0:
                connection.store_result()
        except connection.Error:
            return None
        finally:
            connection.query("ROLLBACK")
        return value() != before

    return run


def test_classify__mysqls_verdict(mysql: Any) -> None:
    """No text that wrote a row is a read, and texts that write nothing are reads."""
    expressed = expressions("mysql")
    one = st.sampled_from(QUIET["mysql"] + ["tidy(1)", "v.lower(1)", "1tidy(1)"])
    texts = st.sampled_from([*SHAPES, *MYSQL]).flatmap(lambda shape: filled(shape, e=expressed, o=one))
    seen = count_verdicts(on_mysql(mysql), "mysql", texts)

    assert seen["wrote"] > 50, seen
    assert seen["quiet"] > 50, seen
    assert seen["refused"] < seen.total() / 4, seen


@pytest.mark.parametrize("shape", [*SHAPES, *MYSQL])
@pytest.mark.parametrize("called", ["tidy(1)", "quiet(1)"])
def test_classify__mysqls_verdict_on_each_shape(mysql: Any, shape: str, called: str) -> None:
    """Each kind of statement runs, and is classified rightly, with a function that writes and with a read-only one."""
    assert verdict(on_mysql(mysql), "mysql", shape.format(e=called, o=called)) != "refused"


SQLITE = [
    "REPLACE INTO a (x) VALUES (3)",
    "INSERT OR IGNORE INTO a (x) VALUES (3) RETURNING x",
    "INSERT INTO a (x) VALUES (1) ON CONFLICT DO NOTHING",
    "UPDATE OR IGNORE a SET x = 9",
    "PRAGMA user_version = 7",
    "PRAGMA user_version",
    "PRAGMA table_info(a)",
    "CREATE TABLE b AS SELECT {e}",
    "CREATE VIEW b AS SELECT 1",
    "DROP TABLE a",
    "ALTER TABLE a ADD COLUMN y int",
    "EXPLAIN QUERY PLAN DELETE FROM a",
    "VALUES (1), ({o})",
    "SELECT x FROM a LIMIT abs({o})",
    "WITH b (y) AS (SELECT 1) SELECT * FROM b, [a] WHERE `x` IS NOT ({o})",
]


@pytest.fixture
def sqlite() -> Iterator[sqlite3.Connection]:
    """A database in memory with functions that write."""
    cache_catalog("sqlite", Catalog())
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript("CREATE TABLE a (x int); CREATE TABLE log (x int); INSERT INTO a VALUES (1), (2)")

        def tidy(value: int) -> int:
            connection.execute("INSERT INTO log VALUES (?)", [value])
            return value

        for name in ("tidy", "left"):
            connection.create_function(name, 1, tidy)
        yield connection


def on_sqlite(connection: sqlite3.Connection) -> Run:
    """Return a function that runs a text and compares the bytes of the database before and after it."""

    def run(sql: str) -> bool | None:
        before = connection.serialize()
        connection.execute("BEGIN")
        try:
            for statement in sql.split(";"):
                connection.execute(statement).fetchall()
        except sqlite3.Error:
            return None
        else:
            return connection.serialize() != before
        finally:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    return run


def test_classify__sqlites_verdict(sqlite: sqlite3.Connection) -> None:
    """No text that changed the database is a read, and texts that write nothing are reads."""
    expressed = expressions("sqlite")
    one = st.sampled_from([*QUIET["sqlite"], "tidy(1)", '"tidy"(1)', "left(2)"])
    texts = st.sampled_from([*SHAPES, *SQLITE]).flatmap(lambda shape: filled(shape, e=expressed, o=one))
    seen = count_verdicts(on_sqlite(sqlite), "sqlite", texts)

    assert seen["wrote"] > 50, seen
    assert seen["quiet"] > 50, seen
    assert seen["refused"] < seen.total() / 4, seen


def test_read_catalog__aggregates_and_overloads(postgresql: psycopg.Connection) -> None:
    """A name is read-only if no function of this name, in any schema and case, is or runs a volatile function."""
    catalog = read_catalog(postgresql.cursor(), "postgresql")

    assert {"quiet", "calm", "jsonb_path_query", "int4pl"} <= catalog.read_only
    assert not {"stir", "tidy", "lower", "random", "nextval"} & catalog.read_only
    assert {"tidy", "lower", "stir"} <= catalog.overloaded
    assert not {"random", "nextval", "quiet", "upper"} & catalog.overloaded


@pytest.mark.usefixtures("real_databases")
@pytest.mark.parametrize("alias", ["default", "legacy"])
def test_classify__reads_of_the_orm(alias: str) -> None:
    """No read of the ORM calls a function that is not known to be read-only."""
    for sql in texts_of(connections[alias]):
        statement = classify(sql, connections[alias].vendor)

        assert (statement.operation, statement.changes) == ("read", False), (sql, statement)
