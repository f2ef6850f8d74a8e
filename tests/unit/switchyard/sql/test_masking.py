"""Statements in messages: without their literals, in every dialect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.sql import masked, normalized
from switchyard.sql.masking import MAX_LENGTH, MAX_NORMALIZED_LENGTH

PG, MY, LITE = ["postgresql"], ["mysql"], ["sqlite"]
ANY = [*PG, *MY, *LITE]

# vendors, text, text of the message
TEXTS = [
    (ANY, "DELETE FROM a WHERE x = %s AND y = %(name)s", "DELETE FROM a WHERE x = %s AND y = %(name)s"),
    (ANY, "DELETE FROM a WHERE x = 'secret'", "DELETE FROM a WHERE x = '...'"),
    (ANY, "DELETE FROM a WHERE x = 'it''s secret'", "DELETE FROM a WHERE x = '...'"),
    (ANY, "DELETE FROM a WHERE x IN (1, -2, 3.5e6, .5)", "DELETE FROM a WHERE x IN (..., -..., ..., ....)"),
    (ANY, "DELETE FROM a WHERE x = 0xBEEF", "DELETE FROM a WHERE x = ..."),
    (ANY, "DELETE FROM a WHERE x = x'BEEF'", "DELETE FROM a WHERE x = x'...'"),
    (ANY, "DELETE /* secret */ FROM a -- secret", "DELETE FROM a"),
    (ANY, "DELETE FROM a /* it's */ WHERE x = 'secret'", "DELETE FROM a WHERE x = '...'"),
    (ANY, "DELETE FROM a -- it's\n WHERE x = 'secret'", "DELETE FROM a WHERE x = '...'"),
    (ANY, "DELETE\n  FROM a\tWHERE x = 'sec\n\nret'", "DELETE FROM a WHERE x = '...'"),
    (ANY, "DELETE FROM a WHERE x = 'secret", "DELETE FROM a WHERE x = '...'"),
    (
        ANY,
        "INSERT INTO a VALUES ('secret', 1, NULL), ('s', 2, %s)",
        "INSERT INTO a VALUES ('...', ..., NULL), ('...', ..., %s)",
    ),
    (PG, "ALTER ROLE a PASSWORD E'sec\\'ret'", "ALTER ROLE a PASSWORD '...'"),
    (PG, "ALTER ROLE a PASSWORD E'x'\n 'secret'", "ALTER ROLE a PASSWORD '...'"),
    (PG, "DO $$ secret $$", "DO '...'"),
    (PG, "DO $secret$ it's $$ $secret$; DELETE FROM a", "DO '...'; DELETE FROM a"),
    (PG, 'DELETE FROM "a" WHERE "x" = \'secret\'', 'DELETE FROM "a" WHERE "x" = \'...\''),
    (PG, "DELETE FROM a WHERE x = U&'secret'", "DELETE FROM a WHERE x = U&'...'"),
    (PG, "DELETE FROM a WHERE x = 1_000 OR x = 0o17 OR x = 0b11", "DELETE FROM a WHERE x = ... OR x = ... OR x = ..."),
    (PG, "DELETE /* a /* it's */ secret */ FROM a", "DELETE FROM a"),
    (MY, 'DELETE FROM `a` WHERE x = "secret"', "DELETE FROM `a` WHERE x = '...'"),
    (MY, "DELETE FROM a WHERE x = 'C:\\\\' AND y = 'secret'", "DELETE FROM a WHERE x = '...' AND y = '...'"),
    (
        MY,
        "DELETE FROM a # it's\n WHERE x = b'01' OR x = _utf8mb4'secret'",
        "DELETE FROM a WHERE x = b'...' OR x = _utf8mb4'...'",
    ),
    (MY, "DELETE /*!50000 FROM */ a WHERE x = 'secret'", "DELETE FROM a WHERE x = '...'"),
    (LITE, 'DELETE FROM "a" WHERE x = "secret"', "DELETE FROM \"a\" WHERE x = '...'"),
    (LITE, "DELETE FROM [a] WHERE `x` = 'sec\\' OR x = 'ret'", "DELETE FROM [a] WHERE `x` = '...' OR x = '...'"),
    (LITE, 'UPDATE "a" SET "b" = %s WHERE "a"."id" = "x"', 'UPDATE "a" SET \'...\' = %s WHERE "a"."id" = \'...\''),
    # The readings of these texts disagree about a literal.
    (PG, "DELETE FROM a WHERE x = 'secret\\' OR y = 'secret'", "DELETE [...] a"),
    (MY, "DELETE FROM a WHERE x = 'secret\\' OR y = 'secret'", "DELETE [...] a"),
    (MY, 'DELETE FROM a WHERE x = "secret\\" OR y = "secret"', "DELETE [...] a"),
    (MY, "DELETE FROM a /*!999999 ' */ WHERE x = 'secret' /*!999999 ' */", "DELETE [...] a"),
    (MY, "/*!999999 SELECT ' */ DELETE FROM a WHERE x = 'secret'", "[...]"),
    (MY, "SELECT '\\' FROM secret'", "SELECT [...]"),
]


@pytest.mark.parametrize(
    ("vendor", "sql", "expected"), [(vendor, sql, expected) for vendors, sql, expected in TEXTS for vendor in vendors]
)
def test_masked__known_text(vendor: str, sql: str, expected: str) -> None:
    """No literal, number or comment of the text is in the message."""
    assert masked(sql, vendor) == expected


def test_masked__long_text() -> None:
    """The message has the beginning of a long text."""
    text = masked(f"DELETE FROM a WHERE x IN ({', '.join(['%s'] * 100_000)})", "postgresql")

    assert text.startswith("DELETE FROM a WHERE x IN (%s, %s")
    assert len(text) <= MAX_LENGTH + len(" [...]")


# vendors, text, normalized text
NORMALIZED = [
    (ANY, "DELETE FROM a WHERE x = %s AND y = %(name)s AND z = 'x'", "DELETE FROM a WHERE x = ? AND y = ? AND z = ?"),
    (ANY, "SELECT x FROM a WHERE y IN (1, %s, 'x') LIMIT 21", "SELECT x FROM a WHERE y IN (?, ...) LIMIT ?"),
    (ANY, "INSERT INTO a VALUES (%s, 1), ('x', 2)", "INSERT INTO a VALUES (?, ...), ..."),
    (ANY, "INSERT INTO a VALUES (%s), ('x')", "INSERT INTO a VALUES (?, ...), ..."),
    (ANY, f"SELECT DISTINCT {', '.join(['a.column'] * 9)} FROM a", "SELECT DISTINCT ... FROM a"),
    (PG, "SELECT '\\' FROM secret'", "SELECT [...]"),
]


@pytest.mark.parametrize(
    ("vendor", "sql", "expected"),
    [(vendor, sql, expected) for vendors, sql, expected in NORMALIZED for vendor in vendors],
)
def test_normalized__known_text(vendor: str, sql: str, expected: str) -> None:
    """Statements that differ in values, or in their number, have one text."""
    assert normalized(sql, vendor) == expected


def test_normalized__long_text() -> None:
    """A long text is cut."""
    text = normalized(f"SELECT x FROM a WHERE {' AND '.join(['x = 1'] * 100_000)}", "postgresql")

    assert text.startswith("SELECT x FROM a WHERE x = ? AND x = ?")
    assert len(text) <= MAX_NORMALIZED_LENGTH + len(" [...]")


def test_masked__another_length() -> None:
    """A caller may ask for more of the text."""
    text = f"SELECT {', '.join(['a'] * 100)} FROM b WHERE c = 'secret'"

    assert masked(text, "postgresql", max_length=1000) == text.replace("secret", "...")


LITERALS = {
    "postgresql": ["'{}'", "E'{}'", "U&'{}'", "$${}$$", "$q${}$q$", "/* {} */", "-- {}\n", "'x'\n'{}'"],
    "mysql": ["'{}'", '"{}"', "N'{}'", "_utf8mb4'{}'", "/* {} */", "-- {}\n", "# {}\n", "/*!999999 '{}' */"],
    "sqlite": ["'{}'", '"{}"', "/* {} */", "-- {}\n"],
}
INSIDE = {"postgresql": 'secret ;()-*/\\"', "mysql": "secret ;()-*/", "sqlite": "secret ;()-*/\\"}


@given(data=st.data())
@pytest.mark.parametrize("vendor", ANY)
def test_masked__a_secret_in_any_literal(vendor: str, data: st.DataObject) -> None:
    """Whatever literals and comments stand before it, and however a session reads them, a literal is never shown."""
    noise = st.text(st.sampled_from("ab \\'\"*/-#$`!"), max_size=6)
    literals = st.tuples(st.sampled_from(LITERALS[vendor]), noise)
    before = data.draw(st.lists(literals, max_size=4))
    secret = data.draw(st.sampled_from(LITERALS[vendor])).format("TOPSECRET")
    parts = [form.format(_escaped(form, text)) for form, text in before]
    sql = " , ".join(["UPDATE a SET x = 1", *parts, secret])

    assert "SECRET" not in masked(sql, vendor)
    assert "SECRET" not in normalized(sql, vendor)


def _escaped(form: str, text: str) -> str:
    """Return the text so that the literal or comment of this form ends where it is written to end."""
    if form.startswith(("/*", "--", "#")):
        return text.replace("*/", "").replace("/*", "").replace("'", "").rstrip("*/")
    quote = form[-1]
    doubled = text.replace(quote, quote * 2) if quote != "$" else text.replace("$", "")
    return doubled.replace("\\", "\\\\")
