"""The functions of a text that are not known to be read-only, in every spelling of a call."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchyard.sql import classify

PG, MY, LITE = ["postgresql"], ["mysql"], ["sqlite"]
ANY = [*PG, *MY, *LITE]

# vendors, text, calls
TEXTS = [
    (ANY, "SELECT tidy(1)", "tidy"),
    (ANY, "SELECT Tidy (x), count(*), mop() FROM a WHERE sweep(x) = 1", "tidy mop sweep"),
    (ANY, "SELECT one.tidy(1), one . lower('x')", "tidy lower"),
    (ANY, "SELECT tidy/* here */(1), tidy\n(2)", "tidy"),
    (ANY, "SELECT 1; SELECT tidy(1)", "tidy"),
    (ANY, "SELECT (1) + tidy(2), -tidy(3)", "tidy"),
    (ANY, "SELECT 1, 'x', tidy(1), 2", "tidy"),
    (ANY, "SELECT 1e5, tidy(1)", "tidy"),
    (ANY, 'SELECT x < (1), y + (2), "z" - (3), w * (4), v / (5), -(6) FROM a', ""),
    (ANY, "SELECT .5 + count(*), 1. + lower('x') FROM a", ""),
    (ANY, "SELECT x FROM a WHERE x = %s AND y %% mop(2) = 1", "mop"),
    (ANY, "SELECT 1, 5 %slower(2)", "slower"),
    (ANY, "SELECT 'tidy(1)' /* tidy(2) */ -- tidy(3)", ""),
    (ANY, "WITH x (a, b) AS (SELECT 1, 2), y (c) AS (SELECT tidy(3)) SELECT mop(a) FROM x", "tidy mop"),
    (ANY, "WITH x AS (SELECT 1) (SELECT 2) ORDER BY tidy(1)", "tidy"),
    (ANY, "WITH RECURSIVE x(a) AS (VALUES (1) UNION ALL (SELECT tidy(2))) SELECT * FROM x", "tidy"),
    (ANY, "SELECT * FROM (WITH x(a) AS (SELECT 1) SELECT tidy(a) FROM x) AS y(b)", "tidy"),
    (ANY, "SELECT CAST(x AS varchar(10)), CAST(tidy(x) AS decimal(10, 2)) FROM a AS b (x)", "tidy"),
    (ANY, "SELECT sum(x) OVER (PARTITION BY (y) ORDER BY (z)) FROM a WHERE (1) IN (2) GROUP BY (y)", ""),
    (ANY, "SELECT count(x) FILTER (WHERE tidy(x) > 0) OVER (ORDER BY mop(x)) FROM a", "tidy mop"),
    (ANY, "SELECT x FROM a JOIN (b CROSS JOIN c) ON (1 = 1) LEFT JOIN d USING (x) WHERE NOT (y) OR (z)", ""),
    (ANY, "(SELECT x FROM a WHERE x LIKE (y) AND EXISTS (SELECT 1)) UNION (SELECT 2) LIMIT (1)", ""),
    (ANY, "SELECT CASE WHEN (x) THEN (y) ELSE (z) END FROM (VALUES (1), (2)) AS a (x)", ""),
    (ANY, "VALUES (tidy(1))", "tidy"),
    (ANY, "EXPLAIN SELECT tidy(1)", "tidy"),
    (ANY, "INSERT INTO a (x) SELECT tidy(1)", ""),
    (ANY, "DROP TABLE a", ""),
    (PG, 'SELECT "LOWER"(x), "lower"(x), "values"(x), u&"t\\0069dy"(x) FROM a', 'lower values u&"t\\0069dy"'),
    (PG, "SELECT one.values(1), one.in(2), pg_catalog.lower('x')", "values in"),
    (PG, "SELECT update(1), is(2, 3), filter(4)", "update is filter"),
    (PG, "SELECT 1 AS with, tidy(1), x::timestamp with time zone, mop(2)", "tidy mop"),
    (PG, "SELECT copy + tidy(1), (1) update, mop(2) FROM a", "tidy mop"),
    (PG, "SELECT x::varchar(10), y::numeric(10, 2), z::character varying(3), now()::timestamp(0), x::point(2)", ""),
    (PG, "SELECT x AT TIME ZONE (y), ARRAY(SELECT 1), ROW(1, 2), x = ANY (%s) FROM ONLY (a)", ""),
    (PG, "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM a GROUP BY GROUPING SETS ((x), ())", ""),
    (PG, "SELECT * FROM a TABLESAMPLE system (10) REPEATABLE (1), LATERAL tidy(a.x) b", "tidy"),
    (PG, "WITH x AS NOT MATERIALIZED (SELECT 1) SELECT random(), clock_timestamp(), pg_sleep(0)", ""),
    (PG, "COPY a (x, y) TO STDOUT", ""),
    (PG, "COPY (SELECT tidy(1)) TO STDOUT", "tidy"),
    (PG, "DECLARE c CURSOR FOR SELECT tidy(1)", "tidy"),
    (PG, "EXPLAIN (ANALYZE, FORMAT JSON) SELECT tidy(1)", "tidy"),
    (PG, "SELECT \N{GRINNING FACE}(1), null$lower(2)", "\N{GRINNING FACE} null$lower"),
    (PG, "SELECT 1,\N{NO-BREAK SPACE}(2)", "\N{NO-BREAK SPACE}"),
    (MY, "SELECT `tidy`(1), `LOWER`('x'), 1tidy(2), 3, 2tidy(4)", "tidy 1tidy 2tidy"),
    (MY, "SELECT x FROM a USE INDEX (b) WHERE MATCH (x) AGAINST ('y') AND z DIV (2) = 1", ""),
    (MY, "SELECT INSERT(x, 1, 2, 'y'), TRUNCATE(1.5, 1), IF(x, 1, 2), VALUES(y), REPLACE(x, 'a', 'b') FROM a", ""),
    (MY, "SET @x = tidy(1)", "tidy"),
    (MY, 'SELECT `tidy(1)`, "tidy(2)" # tidy(3)', ""),
    (LITE, 'SELECT [tidy](1), `mop`(2), "sweep"(3), "LOWER"(4)', "tidy mop sweep"),
    (LITE, "PRAGMA table_info(a)", ""),
    (LITE, "SELECT * FROM json_each('[]'), pragma_table_info('a')", ""),
]


@pytest.mark.parametrize(
    ("vendor", "sql", "calls"), [(vendor, sql, calls) for vendors, sql, calls in TEXTS for vendor in vendors]
)
def test_classify__calls(vendor: str, sql: str, calls: str) -> None:
    """Each text calls the functions of its line in the table, in order; they decide whether the server may write."""
    statement = classify(sql, vendor)

    assert statement.calls == tuple(calls.split(" ") if calls else ())
    if calls:
        assert statement.changes is None


# A call between two of these expressions is found.
EXPRESSIONS = [
    "x",
    "(1)",
    "lower(x)",
    "a.*",
    "'it''s'",
    "1.5e3",
    "%s",
    "NULL",
    "(SELECT y FROM b)",
    "CASE WHEN x THEN 1 END",
]
BLANKS = [" ", "\n", "/* ( ' */", "-- ' (\n", "\t"]


@settings(max_examples=300)
@given(
    data=st.data(),
    before=st.lists(st.sampled_from(EXPRESSIONS)),
    after=st.lists(st.sampled_from(EXPRESSIONS)),
)
@pytest.mark.parametrize("vendor", ANY)
def test_classify__a_call_anywhere(vendor: str, data: st.DataObject, before: list[str], after: list[str]) -> None:
    """The call of an unknown function is found in every place."""
    blank = st.sampled_from(BLANKS)
    listed = f",{data.draw(blank)}".join([*before, f"tidy{data.draw(blank)}(1)", *after])
    sql = data.draw(
        st.sampled_from(
            [
                "SELECT {}",
                "WITH x (y, z) AS (SELECT {}) SELECT * FROM x",
                "SELECT x FROM a WHERE x IN ({})",
                "SELECT x FROM a ORDER BY {}",
                "SELECT * FROM (VALUES ({})) AS x (y)",
                "SELECT coalesce({}) OVER (PARTITION BY {}) FROM a",
            ]
        )
    ).replace("{}", listed)

    assert classify(sql, vendor).calls == ("tidy",)


PATHOLOGICAL = [
    *("(", ")", "((1", "'", "''", '"', "`", "[", "$", "$a$b", "/*", "*/", "/*/", "--\n", "--'\r", "#", ";", "; ;("),
    *("E'\\'", "E'' ", "1,", "1(", "1,'", "%s,(", "%(a", "a.", "a(", "NULL ", "1e", "0x", "1a", "WITH x(", "FROM a,"),
    *("a.*", ". ", "\N{NO-BREAK SPACE}", "E'a'\n", "E'a'--\n", "$1", "$a", "/*!", "{", "-", "+1", "AS (", ",x AS ("),
]


def seconds(sql: str, vendor: str) -> float:
    """Return the least processor time of three runs."""

    def once() -> float:
        before = time.process_time()
        classify(sql, vendor)
        return time.process_time() - before

    return min(once() for _ in range(3))


@pytest.mark.parametrize("piece", PATHOLOGICAL)
@pytest.mark.parametrize("vendor", ANY)
def test_classify__time_of_a_long_text(vendor: str, piece: str) -> None:
    """A text of four times the length takes far less than 16 times the time."""
    short, long = (seconds("SELECT " + piece * (length // len(piece)), vendor) for length in (5_000, 20_000))

    assert long < 8 * short + 0.02
