"""The classification of known texts, in every spelling, and of any text."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchyard.sql import Statement, classify, statements_of
from switchyard.sql.keywords import VERBS

VENDORS = ("postgresql", "mysql", "sqlite")
ANY = list(VENDORS)
PG, MY, LITE = ["postgresql"], ["mysql"], ["sqlite"]

# vendors, text, operation, tables, locks
TEXTS = [
    (ANY, "", "other", "", False),
    (ANY, "-- nothing here\n", "other", "", False),
    (ANY, "SELECT 1", "read", "", False),
    (ANY, "SELECT x FROM a", "read", "a", False),
    (ANY, "(SELECT x FROM a) UNION (SELECT y FROM b)", "read", "a b", False),
    (ANY, "((SELECT 1) UNION SELECT x FROM b)", "read", "b", False),
    (ANY, "SELECT * FROM a, b AS c, d LEFT JOIN e ON (d.x = e.x), f WHERE g IN (1, 2)", "read", "a b d e f", False),
    (ANY, "SELECT * FROM (a JOIN b ON a.x = b.x), c LIMIT 3", "read", "a b c", False),
    (ANY, "SELECT * FROM (SELECT x FROM a, b) z, c", "read", "a b c", False),
    (ANY, "SELECT x FROM a WHERE EXISTS(SELECT 1 FROM b) AND y IN (SELECT z FROM c)", "read", "a b c", False),
    (ANY, "SELECT x FROM one.a JOIN two.three.b ON 1 = 1", "read", "a b", False),
    (
        PG + MY,
        "SELECT EXTRACT(YEAR FROM at), TRIM(BOTH 'x' FROM y), SUBSTRING(z FROM 2 FOR 3) FROM a",
        "read",
        "a",
        False,
    ),
    (ANY, "SELECT x IS DISTINCT FROM y FROM a", "read", "a", False),
    (ANY, "SELECT REPLACE(x, 'a', 'b'), (REPLACE(y, 'a', 'b')) FROM a", "read", "a", False),
    (ANY, "WITH x AS (SELECT * FROM a), y (c, d) AS (SELECT * FROM x) SELECT * FROM x, y, b", "read", "a b", False),
    (ANY, "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT * FROM x) SELECT * FROM x", "read", "", False),
    (ANY, "WITH a AS (SELECT * FROM a) SELECT * FROM a JOIN b ON 1 = 1", "read", "a b", False),
    (ANY, "WITH x AS (SELECT 1) SELECT * FROM s.x, x", "read", "x", False),
    (ANY, "WITH x AS (SELECT 1) DELETE FROM a WHERE y IN (SELECT * FROM x)", "write", "a", False),
    (ANY, "WITH x AS (SELECT 1) INSERT INTO a SELECT * FROM x", "write", "a", False),
    (ANY, "WITH x AS (SELECT 1) UPDATE a SET y = 1", "write", "a", False),
    (ANY, "SELECT x INTO b FROM a", "write", "b a", False),
    (ANY, "INSERT INTO a (x, y) VALUES (1, 2), (3, 4)", "write", "a", False),
    (ANY, "INSERT INTO a SELECT * FROM b", "write", "a b", False),
    (ANY, "UPDATE a SET x = (SELECT y FROM b), z = 2", "write", "a b", False),
    (ANY, "DELETE FROM a WHERE x IN (SELECT y FROM b)", "write", "a b", False),
    (ANY, "TRUNCATE TABLE a, b", "write", "a b", False),
    (ANY, "CALL tidy(1)", "write", "", False),
    (ANY, "FROBNICATE a", "write", "", False),
    (ANY, "CREATE TABLE IF NOT EXISTS a (x int REFERENCES b (id))", "ddl", "a b", False),
    (ANY, "DROP TABLE a", "ddl", "a", False),
    (ANY, "ALTER TABLE a ADD COLUMN x int", "ddl", "a", False),
    (ANY, "BEGIN", "tx", "", False),
    (ANY, "COMMIT", "tx", "", False),
    (ANY, "ROLLBACK TO SAVEPOINT x", "tx", "", False),
    (ANY, "RELEASE SAVEPOINT x", "tx", "", False),
    (ANY, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "tx", "", False),
    (ANY, "SELECT 1; DROP TABLE a; SELECT 2", "ddl", "a", False),
    (ANY, "BEGIN; SELECT x FROM a", "read", "a", False),
    (ANY, "SELECT 1; DELETE FROM a", "write", "a", False),
    (ANY, "SELECT 'DELETE FROM b; DROP TABLE c' FROM a", "read", "a", False),
    (ANY, "SELECT 'it''s; DELETE FROM b' FROM a", "read", "a", False),
    (ANY, "SELECT /* DELETE FROM b */ x FROM a -- ; DROP TABLE c", "read", "a", False),
    (ANY, "SELECT x FROM a WHERE y = %s AND z IN (%s, %s, (%s)) AND w IN (SELECT v FROM b)", "read", "a b", False),
    (ANY, "INSERT INTO a VALUES ('x)', 1, NULL), ('(', 2, 3.5) RETURNING (SELECT 1 FROM b)", "write", "a b", False),
    (ANY, "EXPLAIN SELECT x FROM a", "read", "a", False),
    (PG + LITE, "EXPLAIN DELETE FROM a", "read", "a", False),
    (MY, "EXPLAIN DELETE FROM a", "write", "a", False),
    (ANY, "EXPLAIN ANALYZE SELECT x FROM a", "read", "a", False),
    (ANY, "EXPLAIN ANALYZE DELETE FROM a", "write", "a", False),
    (PG + LITE, "EXPLAIN SELECT nextval('x')", "read", "", False),
    (MY, "EXPLAIN SELECT nextval('x')", "write", "", False),
    (ANY, "EXPLAIN ANALYZE SELECT nextval('x')", "write", "", False),
    (ANY, "SELECT *, a.* FROM (SELECT t.* FROM(SELECT u . * FROM a, b) t)", "read", "a b", False),
    (ANY, "SELECT NEXT VALUE FOR x", "write", "", False),
    (PG + MY, "SELECT x FROM a FOR UPDATE", "read", "a", True),
    (PG + MY, "SELECT x FROM a FOR UPDATE OF a NOWAIT", "read", "a", True),
    (PG + MY, "SELECT x FROM a FOR SHARE SKIP LOCKED", "read", "a", True),
    (PG, "SELECT x FROM a FOR NO KEY UPDATE", "read", "a", True),
    (PG, "SELECT x FROM a FOR KEY SHARE", "read", "a", True),
    (MY, "SELECT x FROM a LOCK IN SHARE MODE", "read", "a", True),
    (PG, "LOCK TABLE a IN SHARE MODE", "other", "a", True),
    (PG, "WITH x AS (DELETE FROM a USING b RETURNING *) SELECT * FROM x", "write", "a b", False),
    (PG, "WITH x AS MATERIALIZED (UPDATE a SET y = 1 RETURNING *) SELECT 1", "write", "a", False),
    (PG, "WITH x AS NOT MATERIALIZED (SELECT 1) SELECT * FROM x", "read", "", False),
    (PG, "DELETE FROM ONLY a USING b JOIN c USING (id)", "write", "a b c", False),
    (PG, "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN UPDATE SET y = 1", "write", "a b", False),
    (PG, "INSERT INTO a (x) VALUES (%s) ON CONFLICT (x) DO UPDATE SET x = 1", "write", "a", False),
    (PG, 'INSERT INTO "s"."A" ("x") SELECT * FROM UNNEST((%s)::int[], (%s)::int[])', "write", "a", False),
    (PG, "EXPLAIN (ANALYZE false) DELETE FROM a", "read", "a", False),
    (PG, "EXPLAIN (VERBOSE, ANALYZE off) INSERT INTO a (x) VALUES (1)", "read", "a", False),
    (PG, "EXPLAIN (ANALYZE true) DELETE FROM a", "write", "a", False),
    (PG, "COMMIT PREPARED 'x'", "write", "", False),
    (PG, "SELECT 1 -- it's\r; DELETE FROM a", "write", "a", False),
    (PG, "SELECT E'x'\n 'y\\', (SELECT 1 FROM b)' FROM a", "read", "a", False),
    (PG, "SELECT E'x' --'\n'y\\''; DELETE FROM a; SELECT ' '", "write", "a", False),
    (PG, "SELECT $\N{GRINNING FACE}$ ' $\N{GRINNING FACE}$; DELETE FROM a; SELECT ' '", "write", "a", False),
    (PG, "EXPLAIN (ANALYZE, VERBOSE) UPDATE a SET x = 1", "write", "a", False),
    (PG, "EXPLAIN ANALYZE CREATE TABLE b AS SELECT * FROM a", "write", "b a", False),
    (PG, "EXPLAIN ANALYZE EXECUTE prepared", "write", "", False),
    (PG, "COPY a (x, y) FROM STDIN", "write", "a", False),
    (PG, "COPY a (x, y) TO STDOUT", "read", "a", False),
    (PG, "COPY (SELECT x FROM a) TO STDOUT", "read", "a", False),
    (PG, "COPY a TO '/tmp/a'", "write", "a", False),
    (PG, "COPY (SELECT x FROM a) TO PROGRAM 'cat'", "write", "a", False),
    (PG, "COPY (DELETE FROM a RETURNING x) TO STDOUT", "write", "a", False),
    (PG, "SELECT nextval('x')", "write", "", False),
    (PG, "SELECT pg_catalog.setval('x', 1)", "write", "", False),
    (PG, "SELECT \"nextval\"('x')", "write", "", False),
    (PG, "SELECT pg_advisory_lock(1)", "read", "", False),
    (PG, "SELECT * FROM generate_series(1, 2), a", "read", "a", False),
    (PG, "SELECT * FROM a, LATERAL (SELECT x FROM b) c", "read", "a b", False),
    (PG, "TABLE a", "read", "a", False),
    (PG, "DECLARE c CURSOR WITH HOLD FOR SELECT x FROM a", "read", "a", False),
    (PG, "CLOSE c", "other", "", False),
    (PG, "SET search_path TO x", "other", "", False),
    (PG, "SHOW server_version", "other", "", False),
    (PG, "DISCARD ALL", "other", "", False),
    (PG, "PREPARE TRANSACTION 'x'", "tx", "", False),
    (PG, "BEGIN NOT DEFERRABLE", "tx", "", False),
    (PG, "DO $$ BEGIN DELETE FROM a; END $$", "write", "", False),
    (PG, "SELECT $$ DELETE FROM b $$, $t$ $$ ; DROP TABLE c $t$ FROM a", "read", "a", False),
    (PG, "SELECT E'\\'; DELETE FROM b' FROM a", "read", "a", False),
    (PG, "/* one /* two */ DELETE FROM b; */ SELECT x FROM a", "read", "a", False),
    (PG, "SELECT '\\'; DELETE FROM a", "write", "a", False),
    (MY, "SELECT '\\'; DELETE FROM b' FROM a", "write", "a b", False),
    (MY, "SELECT 'it\\'s' FROM a", "read", "a", False),
    (MY, 'SELECT "; DELETE FROM b" FROM `a`', "read", "a", False),
    (MY, "/*!50000 DELETE FROM a */", "write", "a", False),
    (MY, "SELECT 1 # ; DELETE FROM b\n FROM a", "read", "a", False),
    (MY, "SELECT 5--1 FROM a", "read", "a", False),
    (MY, "INSERT INTO a (x) VALUES (%s) ON DUPLICATE KEY UPDATE x = VALUES(x)", "write", "a", False),
    (MY, "REPLACE INTO a VALUES (1)", "write", "a", False),
    (MY, "INSERT a SELECT * FROM b", "write", "a b", False),
    (MY, "INSERT HIGH_PRIORITY IGNORE a VALUES (1)", "write", "a", False),
    (MY, "REPLACE a SET x = 1", "write", "a", False),
    (MY, "UPDATE a, b SET a.x = b.x", "write", "a b", False),
    (MY, "SET autocommit = 0", "tx", "", False),
    (MY, "SET SESSION TRANSACTION READ ONLY", "tx", "", False),
    (MY, "SET @@GLOBAL.read_only = 1", "write", "", False),
    (MY, "LOCK TABLES a READ, b AS c WRITE", "other", "a b", True),
    (MY, "XA COMMIT 'x'", "write", "", False),
    (MY, "SET STATEMENT max_statement_time = 1 FOR DELETE FROM a", "write", "a", False),
    (MY, "BEGIN NOT ATOMIC DELETE FROM a; END", "write", "a", False),
    (MY, "SELECT x FROM 2024_orders JOIN 1e5 JOIN a", "read", "2024_orders a", False),
    (MY, "SELECT 1 --\N{NO-BREAK SPACE}it; DELETE FROM a", "write", "a", False),
    (MY, "USE other", "other", "", False),
    (MY, "SELECT GET_LOCK('x', 1)", "read", "", False),
    (LITE, "INSERT OR IGNORE INTO a VALUES (1)", "write", "a", False),
    (LITE, "UPDATE OR IGNORE a SET x = 1", "write", "a", False),
    (LITE, "SELECT x FROM [a] JOIN `b` ON 1", "read", "a b", False),
    (LITE, "PRAGMA foreign_keys = ON", "other", "", False),
    (LITE, "PRAGMA table_info('a')", "other", "", False),
    (LITE, "PRAGMA user_version", "other", "", False),
    (LITE, "PRAGMA user_version = 2", "write", "", False),
    (LITE, "EXPLAIN QUERY PLAN SELECT x FROM a", "read", "a", False),
    (LITE, "VACUUM", "ddl", "", False),
]


def changes(vendor: str, operation: str, locks: bool) -> bool:
    """Return whether a text without unknown calls may write: PostgreSQL logs locks with a transaction id."""
    return operation in {"write", "ddl"} or (locks and vendor == "postgresql")


def seen(statement: Statement) -> Statement:
    """Return the statement without the functions that it calls and the transaction that it ends."""
    return replace(statement, built_in=(), advisory_lock=False, ends_transaction=False)


CASES = [
    (vendor, sql, Statement(operation, tuple(tables.split()), locks, changes=changes(vendor, operation, locks)))
    for vendors, sql, operation, tables, locks in TEXTS
    for vendor in vendors
]
PIECES = [*VERBS, "(", ")", "'", '"', "`", ";", ",", ".", "$", "=", "#", "[", "]", "--", "/*", "*/", "/*!", "%s", "E'"]


@pytest.mark.parametrize(("vendor", "sql", "expected"), CASES)
def test_classify__known_text(vendor: str, sql: str, expected: Statement) -> None:
    """Each text has the operation, the tables and the locks of its line in the table."""
    assert seen(classify(sql, vendor)) == expected


@given(sql=st.text() | st.lists(st.sampled_from(PIECES)).map(" ".join))
@pytest.mark.parametrize("vendor", [*VENDORS, "oracle"])
def test_classify__any_text(vendor: str, sql: str) -> None:
    """Every text has an operation, also a broken text."""
    statement = classify(sql, vendor)

    assert isinstance(statement, Statement)
    assert statement.operation in {"read", "write", "ddl", "tx", "other"}


NOISE = {
    "postgresql": [" ", "\n\t", "/* ' DELETE FROM z; */", "/* /* INTO */ FOR UPDATE */", "-- it's; DROP TABLE z\n"],
    "mysql": [" ", "\n\t", "/* ' DELETE FROM z; */", "-- it's; DROP TABLE z\n", '# " FOR UPDATE\n'],
    "sqlite": [" ", "\n\t", "/* ' DELETE FROM z; */", "-- it's; DROP TABLE z\n"],
}
# Texts without literals, comments and operators: each blank can be replaced by other blanks and comments.
PLAIN = [case for case in CASES if not re.search(r"['\"$#`@!]|--|/\*", case[1])]


@settings(max_examples=500)
@given(case=st.sampled_from(PLAIN), data=st.data())
def test_classify__comments_blanks_and_case(case: tuple[str, str, Statement], data: st.DataObject) -> None:
    """Comments and blanks between words, and the case of letters, change nothing."""
    vendor, sql, expected = case
    noise = st.lists(st.sampled_from(NOISE[vendor]), min_size=1, max_size=2).map(" ".join)
    # A parameter is no word: the driver reads its case.
    words = [data.draw(st.sampled_from([word, word.swapcase()] if "%" not in word else [word])) for word in sql.split()]
    spelled = data.draw(noise) + "".join(word + data.draw(noise) for word in words)

    assert seen(classify(spelled, vendor)) == expected


LITERALS = {
    "postgresql": ["'{}'", "$${}$$", "$q${}$q$", "E'{}'"],
    "mysql": ["'{}'", '"{}"'],
    "sqlite": ["'{}'"],
}


@given(data=st.data(), inside=st.text(st.sampled_from("abc; ()-/*#DELETE INTO\n")))
@pytest.mark.parametrize("vendor", VENDORS)
def test_classify__text_inside_literals(vendor: str, data: st.DataObject, inside: str) -> None:
    """The text inside a literal changes nothing."""
    literal = data.draw(st.sampled_from(LITERALS[vendor])).format(inside)
    statement = classify(f"SELECT {literal}, x FROM a WHERE y = {literal}", vendor)

    assert statement == Statement("read", ("a",), locks=False)


@pytest.mark.parametrize("row", ["(%s, %s, %s)", "(1, 'it''s', NULL)"])
def test_classify__bulk_insert_of_a_megabyte(row: str) -> None:
    """A statement after a hundred thousand values is found, and the text is not cached."""
    sql = f"INSERT INTO a VALUES {', '.join([row] * 80_000)}; DROP TABLE b"
    statement = classify(sql, "mysql")

    assert statement == Statement("ddl", ("a", "b"), locks=False, changes=True)
    assert sql not in statements_of("mysql")
