"""Which texts begin or end a transaction, and which make a session or a transaction writable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.sql.transaction_control import transaction_control

ALL = ("postgresql", "mysql", "sqlite")
BOUNDARIES = [
    "BEGIN",
    "begin immediate",
    "START TRANSACTION",
    "COMMIT",
    "COMMIT AND CHAIN",
    "END",
    "ABORT",
    "ROLLBACK",
    "ROLLBACK WORK",
    "PREPARE TRANSACTION 'x'",
    "XA START 'x'",
    "SET autocommit = 1",
    "SET @@session.autocommit = 1",
    "/* a ; b */ COMMIT -- c",
]
NO_BOUNDARIES = [
    "SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "ROLLBACK TO SAVEPOINT a",
    "rollback to a",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SELECT 'COMMIT'",
    "PREPARE q AS SELECT 1",
    "SELECT 1 AS end",
]
WRITABLE = [
    "SET TRANSACTION READ WRITE",
    "SET SESSION TRANSACTION READ WRITE",
    "SET LOCAL TRANSACTION READ /* a */ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE",
    "START TRANSACTION READ WRITE",
    "SET default_transaction_read_only = off",
    "SET transaction_read_only TO DEFAULT",
    "RESET default_transaction_read_only",
    "SET @@session.transaction_read_only = 0",
    "SET sql_mode = '', tx_read_only = 0",
    "PRAGMA query_only = OFF",
    "PRAGMA query_only(0)",
    "SET transaction_read_only = 1; SET transaction_read_only = 0",
]
NOT_WRITABLE = [
    "SET TRANSACTION READ ONLY",
    "BEGIN READ ONLY",
    "SET default_transaction_read_only = on",
    "SET SESSION transaction_read_only = 1",
    "set @@session.tx_read_only = ON",
    "SET transaction_read_only TO 'on';",
    "PRAGMA query_only",
    "PRAGMA query_only = ON",
    "SHOW default_transaction_read_only",
    "SELECT @@transaction_read_only",
    "SELECT 'SET TRANSACTION READ WRITE'",
    "SELECT read, write FROM logs",
]


@pytest.mark.parametrize("vendor", ALL)
@pytest.mark.parametrize(("sql", "expected"), [(s, True) for s in BOUNDARIES] + [(s, False) for s in NO_BOUNDARIES])
def test_transaction_control__boundary(sql: str, expected: bool, vendor: str) -> None:
    """A text that begins or ends a transaction is found; a savepoint and a literal are no boundary."""
    assert transaction_control(sql, vendor).has_boundary is expected


@pytest.mark.parametrize("vendor", ALL)
@pytest.mark.parametrize(("sql", "expected"), [(s, True) for s in WRITABLE] + [(s, False) for s in NOT_WRITABLE])
def test_transaction_control__access_mode(sql: str, expected: bool, vendor: str) -> None:
    """A text that gives READ WRITE is found, also among other variables; one that gives READ ONLY is not."""
    assert transaction_control(sql, vendor).makes_writable is expected


@pytest.mark.parametrize(
    ("sql", "expected"), [("", 0), (";", 0), ("SELECT 1", 1), ("SELECT 1;", 1), ("SELECT ';'; ; COMMIT", 2)]
)
def test_transaction_control__number_of_statements(sql: str, expected: int) -> None:
    """Empty statements and semicolons in literals do not count."""
    assert transaction_control(sql, "postgresql").statements == expected


def test_transaction_control__mysqls_executable_comments() -> None:
    """A statement that MySQL executes inside a comment is found."""
    assert transaction_control("/*!80000 SET SESSION TRANSACTION READ WRITE */", "mysql").makes_writable


@given(
    texts=st.lists(st.sampled_from([*BOUNDARIES, *NO_BOUNDARIES, *WRITABLE[:-1], *NOT_WRITABLE]), min_size=2),
    blanks=st.sampled_from([";", " ; ", "\n;\t", "; /* ; */ "]),
)
def test_transaction_control__any_text_of_several(texts: list[str], blanks: str) -> None:
    """A text of several statements has a boundary, or makes writable, if one of its statements does."""
    whole = transaction_control(f"{blanks}".join(f"{text.rstrip(';')}\n" for text in texts), "postgresql")
    parts = [transaction_control(text, "postgresql") for text in texts]

    assert whole.statements == len(texts)
    assert whole.has_boundary is any(part.has_boundary for part in parts)
    # Beside other statements, also one that makes the session read-only is not known to be harmless.
    assert whole.makes_writable or not any(part.makes_writable for part in parts)
