"""Which errors are failures of a server, and which calls a redirected cursor supports."""

from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from switchyard.routing.connections.failover import FailedCursor, SubstituteCursor, is_server_error, report_failure
from switchyard.routing.errors import ReplicaWriteError
from switchyard.routing.monitor import monitor


class Driver:
    """A driver connection or cursor, with the attributes that these tests use."""

    def __init__(self, *, closed: bool = False) -> None:
        self.closed = closed
        self.executed: list[str] = []

    def execute(self, sql: str) -> None:
        self.executed.append(sql)

    def fetchone(self) -> tuple[int]:
        return (1,)


class Wrapper:
    """The wrapper of a replica, with the attributes that these tests use."""

    alias = "replica"

    def __init__(self, vendor: str = "postgresql", *, closed: bool = False) -> None:
        self.vendor = vendor
        self.connection = Driver(closed=closed)
        self.was_closed = False

    def close(self) -> None:
        self.was_closed = True


def raised(cause: BaseException) -> OperationalError:
    error = OperationalError(*cause.args)
    error.__cause__ = cause
    return error


STATES = [
    ("57P01", True),  # an administrator ended the connection
    ("57P02", True),  # the server crashed
    ("57P03", True),  # the server starts
    ("08006", True),  # the connection failed
    ("53300", True),  # too many connections
    ("58030", True),  # the disk of the server fails
    ("40001", True),  # conflict with recovery
    ("40P01", True),  # the same, as a deadlock
    ("57014", False),  # a time-out that the program has set
    ("55P03", False),  # a lock is not available
    ("53400", False),  # the statement exceeds a limit
    ("25P03", False),  # the transaction was idle for too long
]


@pytest.mark.parametrize(("state", "expected"), STATES)
def test_is_server_error__postgresql(state: str, expected: bool) -> None:
    """A server that ends, lacks resources or recovers has failed; a time-out of the program is no failure."""
    error = raised(psycopg.errors.lookup(state)())

    assert is_server_error(error, Wrapper()) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize("closed", [True, False])
def test_is_server_error__postgresql_without_a_state(closed: bool) -> None:
    """An error of the driver itself is a failure of the server if the connection is lost."""
    error = raised(psycopg.OperationalError("consuming input failed"))

    assert is_server_error(error, Wrapper(closed=closed)) is closed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "expected"), [(2006, True), (2013, True), (1053, True), (3024, False), (1317, False), (1205, False)]
)
def test_is_server_error__mysql(number: int, expected: bool) -> None:
    """A lost connection is a failure; a statement that timed out, was killed or waited for a lock is none."""
    error = raised(Exception(number, "message"))

    assert is_server_error(error, Wrapper("mysql")) is expected  # type: ignore[arg-type]


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the aliases of the reported failures."""
    seen: list[str] = []
    monkeypatch.setattr(monitor, "report_failure", lambda alias, _error, _server: seen.append(alias))
    return seen


FAILURES: list[tuple[BaseException, list[str], bool]] = [
    (psycopg.errors.lookup("57P01")(), ["replica"], True),
    (psycopg.errors.lookup("40001")(), ["replica"], False),
    (PoolTimeout("none within 1 s"), [], True),
]


@pytest.mark.parametrize(("cause", "reported", "closed"), FAILURES)
def test_report_failure(cause: BaseException, reported: list[str], closed: bool, reports: list[str]) -> None:
    """A failure is reported and closes the connection; a conflict leaves it open, and a full pool is not reported."""
    wrapper = Wrapper()

    report_failure(wrapper, raised(cause))  # type: ignore[arg-type]

    assert (reports, wrapper.was_closed) == (reported, closed)


def substitute(driver: Driver) -> SubstituteCursor:
    other: Any = Wrapper()
    return SubstituteCursor(driver, other, replica="replica", tried=frozenset({"replica"}))


def test_substitute_cursor__reads() -> None:
    """Reads run on the other alias."""
    driver = Driver()
    cursor = substitute(driver)
    cursor.execute("SELECT 1")

    assert (driver.executed, cursor.fetchone()) == (["SELECT 1"], (1,))


def test_substitute_cursor__a_write() -> None:
    """A write is refused, although the other alias may be written."""
    driver = Driver()
    with pytest.raises(ReplicaWriteError, match="'replica', a replica of 'default'"):
        substitute(driver).execute("DELETE FROM accounts_user")

    assert driver.executed == []


@pytest.mark.parametrize("name", ["copy", "callproc", "executemany", "connection", "stream"])
def test_substitute_cursor__other_ways_to_write(name: str) -> None:
    """Calls that send statements without the guard are not supported."""
    with pytest.raises(AttributeError, match=f"'replica' is unavailable.*no `{name}`"):
        getattr(substitute(Driver()), name)


def test_failed_cursor() -> None:
    """Every use raises the error of the connection, and close() works."""
    cursor = FailedCursor(InterfaceError("connection refused"), None)
    cursor.close()

    with pytest.raises(InterfaceError, match="connection refused"):
        cursor.execute("SELECT 1")
