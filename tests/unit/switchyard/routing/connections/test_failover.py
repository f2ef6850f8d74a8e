"""Which failures are the replica's, and what a cursor may do that reads elsewhere."""

from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from switchyard.routing.connections.failover import FailedCursor, SubstituteCursor, is_server_error, report_failure
from switchyard.routing.errors import ReplicaWriteError
from switchyard.routing.monitor import monitor


class Driver:
    """A driver's connection or cursor, as far as it is asked here."""

    def __init__(self, *, closed: bool = False) -> None:
        self.closed = closed
        self.executed: list[str] = []

    def execute(self, sql: str) -> None:
        self.executed.append(sql)

    def fetchone(self) -> tuple[int]:
        return (1,)


class Wrapper:
    """A replica's wrapper, as far as it is asked here."""

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
    ("57P01", True),  # the administrator ended it
    ("57P02", True),  # it crashed
    ("57P03", True),  # it starts
    ("08006", True),  # the connection failed
    ("53300", True),  # too many connections
    ("58030", True),  # its disk fails
    ("40001", True),  # conflict with recovery
    ("40P01", True),  # the same, as a deadlock
    ("57014", False),  # a time-out of the user's own
    ("55P03", False),  # a lock is not to be had
    ("53400", False),  # the statement needs more than it may
    ("25P03", False),  # its transaction did nothing for too long
]


@pytest.mark.parametrize(("state", "replicas"), STATES)
def test_is_replicas__postgresql(state: str, replicas: bool) -> None:
    """The server's end, its want of something and recovery are at fault; a time-out of the user's own is not."""
    error = raised(psycopg.errors.lookup(state)())

    assert is_server_error(error, Wrapper()) is replicas  # type: ignore[arg-type]


@pytest.mark.parametrize("closed", [True, False])
def test_is_replicas__postgresql_without_a_state(closed: bool) -> None:
    """What the driver itself says is the replica's if the connection is lost."""
    error = raised(psycopg.OperationalError("consuming input failed"))

    assert is_server_error(error, Wrapper(closed=closed)) is closed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "replicas"), [(2006, True), (2013, True), (1053, True), (3024, False), (1317, False), (1205, False)]
)
def test_is_replicas__mysql(number: int, replicas: bool) -> None:
    """A lost connection is; a statement that took too long, was killed or waited for a lock is not."""
    error = raised(Exception(number, "message"))

    assert is_server_error(error, Wrapper("mysql")) is replicas  # type: ignore[arg-type]


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is reported."""
    seen: list[str] = []
    monkeypatch.setattr(monitor, "report_failure", lambda alias, _error: seen.append(alias))
    return seen


GIVEN_UP: list[tuple[BaseException, list[str], bool]] = [
    (psycopg.errors.lookup("57P01")(), ["replica"], True),
    (psycopg.errors.lookup("40001")(), ["replica"], False),
    (PoolTimeout("none within 1 s"), [], True),
]


@pytest.mark.parametrize(("cause", "reported", "closed"), GIVEN_UP)
def test_gave_up(cause: BaseException, reported: list[str], closed: bool, reports: list[str]) -> None:
    """Its failure is reported and its connection closed; after a conflict it is good, and a full pool is no fault."""
    wrapper = Wrapper()

    report_failure(wrapper, raised(cause))  # type: ignore[arg-type]

    assert (reports, wrapper.was_closed) == (reported, closed)


def borrowed(driver: Driver) -> SubstituteCursor:
    other: Any = Wrapper()
    return SubstituteCursor(driver, other, replica="replica", tried=frozenset({"replica"}))


def test_borrowed__reads() -> None:
    """They run on the other alias."""
    driver = Driver()
    cursor = borrowed(driver)
    cursor.execute("SELECT 1")

    assert (driver.executed, cursor.fetchone()) == (["SELECT 1"], (1,))


def test_borrowed__a_write() -> None:
    """It is refused, though the alias that reads now may be written."""
    driver = Driver()
    with pytest.raises(ReplicaWriteError, match="'replica', a replica of 'default'"):
        borrowed(driver).execute("DELETE FROM accounts_user")

    assert driver.executed == []


@pytest.mark.parametrize("name", ["copy", "callproc", "executemany", "connection", "stream"])
def test_borrowed__other_ways_to_write(name: str) -> None:
    """There are none: nothing classifies what they send."""
    with pytest.raises(AttributeError, match=f"'replica' is away.*no {name}"):
        getattr(borrowed(Driver()), name)


def test_unopened() -> None:
    """It raises why it was not opened, whatever is asked of it, and can be closed."""
    cursor = FailedCursor(InterfaceError("away"), None)
    cursor.close()

    with pytest.raises(InterfaceError, match="away"):
        cursor.execute("SELECT 1")
