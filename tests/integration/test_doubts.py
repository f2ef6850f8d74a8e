"""Transactions with calls of functions that may write: PostgreSQL says at their end whether they wrote."""

from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from tests.support.servers import Servers

from accounts.models import User
from switchyard.routing import without_stickiness
from switchyard.routing.monitor.probes.volatile_functions import cache_catalog, read_catalog
from switchyard.routing.session.context import activate, current, task_context

pytestmark = pytest.mark.docker
WRITES, READS = "SELECT tidy()", "SELECT idle()"  # both are volatile


@pytest.fixture
def functions(watched_two: Servers) -> Iterator[Servers]:
    """Two volatile functions on the owner, of which one writes a row. The monitor knows the catalog."""
    sql = "CREATE FUNCTION {} RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER AS $${}$$"
    watched_two.ask(
        "default",
        sql.format("tidy()", "INSERT INTO auth_group (name) VALUES ('tidy') RETURNING id"),
        sql.format("idle()", "SELECT count(*) FROM auth_group"),
    )
    yield watched_two
    watched_two.ask("default", "DROP FUNCTION tidy()", "DROP FUNCTION idle()")


def run(*statements: str) -> None:
    """Run the statements on the owner."""
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def is_required() -> bool:
    """Return True if this client has a required position of the owner."""
    return "default" in current().consistency.required


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(("sql", "expected"), [(WRITES, True), (READS, False)])
def test_doubt__answered_before_the_commit(sql: str, expected: bool) -> None:
    """The transaction requires a position only if the function wrote."""
    with transaction.atomic():
        run(sql)
        inside = is_required()

    assert (inside, is_required()) == (False, expected)


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(("sql", "expected"), [(WRITES, True), (READS, False)])
def test_doubt__in_a_savepoint(sql: str, expected: bool) -> None:
    """An inner block has no answer of its own: the transaction has it."""
    with transaction.atomic(), transaction.atomic():
        run(sql)

    assert is_required() is expected


@pytest.mark.usefixtures("functions")
def test_doubt__outside_a_transaction() -> None:
    """No transaction can be asked, so the statement counts as a write."""
    run(READS)

    assert is_required()


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    "statements",
    [(f"{WRITES}; COMMIT; BEGIN",), (WRITES, "COMMIT", "BEGIN"), (WRITES, "COMMIT; BEGIN"), (WRITES, "END; BEGIN")],
)
def test_doubt__a_commit_in_the_text(statements: tuple[str, ...]) -> None:
    """A text that ends the transaction does not take the answer along."""
    with transaction.atomic():
        run(*statements)

    assert is_required()


@pytest.mark.usefixtures("functions")
def test_doubt__autocommit_off() -> None:
    """A transaction that the program commits itself is asked as well."""
    transaction.set_autocommit(False)
    try:
        run(READS)
        transaction.commit()
        after_read = is_required()
        run(WRITES)
        transaction.commit()
    finally:
        transaction.set_autocommit(True)

    assert (after_read, is_required()) == (False, True)


@pytest.mark.usefixtures("functions")
def test_doubt__rolled_back() -> None:
    """A transaction that is rolled back is not asked, and leaves no doubt to the next one."""
    with transaction.atomic():
        run(WRITES)
        transaction.set_rollback(True)
    with transaction.atomic():
        run("SELECT 1")

    assert not is_required()


@pytest.mark.usefixtures("functions")
def test_doubt__a_write_that_is_sure() -> None:
    """Beside a sure write no query is spent."""
    with transaction.atomic():
        run(READS)
        User.objects.create(username="ada")
        before = is_required()

    assert (before, is_required()) == (True, True)


@pytest.mark.usefixtures("functions")
def test_doubt__without_stickiness() -> None:
    """A statement of a block without stickiness leaves nothing to ask."""
    with transaction.atomic(), without_stickiness():
        run(WRITES)

    assert not is_required()


def test_doubt__an_own_function_with_a_listed_name(functions: Servers) -> None:
    """As soon as the catalog is loaded, a function of the database counts, whatever its name."""
    own = "CREATE FUNCTION lower(bigint) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT tidy()'"
    run("SELECT lower('A')")
    before = is_required()
    functions.ask("default", own)
    try:
        with connection.cursor() as cursor:
            cache_catalog("default", read_catalog(cursor.cursor, "postgresql"))
        with activate(task_context()):
            run("SELECT lower(1::bigint)")
            after = is_required()
    finally:
        functions.ask("default", "DROP FUNCTION lower(bigint)")

    assert (before, after) == (False, True)
