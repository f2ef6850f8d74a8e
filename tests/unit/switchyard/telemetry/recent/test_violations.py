"""Recent violations, with the place in the program."""

import inspect
from collections.abc import Iterator

import pytest

from legacy.models import Customer
from switchyard.routing import RoutingError
from switchyard.routing.errors import StaleSaveError, record_violation
from switchyard.telemetry.recent.entries import Entries
from switchyard.telemetry.recent.violations import VIOLATIONS, discard, drain


@pytest.fixture(autouse=True)
def _nothing_waits() -> Iterator[None]:
    """Nothing waits before the test, and nothing is left after it."""
    discard()
    yield
    discard()


def write() -> int:
    """Write on the legacy, which is refused; return the line."""
    try:
        line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
        Customer.objects.update(name="secret")
    except RoutingError:
        return line
    pytest.fail("not refused")


@pytest.mark.django_db(databases=["default", "legacy"])
def test_drain__refused_write() -> None:
    """A refused write has its kind, alias and reason, and the line of the program that made the query."""
    line = write()
    (found,) = drain()

    assert (found["kind"], found["alias"], found["count"]) == ("read_only_owner_write", "legacy", 1)
    assert found["reason"].startswith("A write was refused on 'legacy', which SWITCHYARD['READ_ONLY'] names: UPDATE")
    assert found["place"].endswith(f"test_violations.py:{line} in write")
    assert "secret" not in str(found)


def test_drain__stale_save() -> None:
    """The reason has neither the key of the row nor its values."""
    record_violation(StaleSaveError(alias="default", model="accounts.User", pk="4711", change="name is 'secret'"))
    (found,) = drain()

    assert "accounts.User" in found["reason"]
    assert "4711" not in str(found["reason"])
    assert "secret" not in str(found)


@pytest.mark.django_db(databases=["default", "legacy"])
def test_violations__at_one_place() -> None:
    """The same violation at one place is one entry with the number of times."""
    entries = Entries(VIOLATIONS, None)
    for _ in range(3):
        write()
        entries.add(drain())

    assert [entry["count"] for entry in entries.newest(0.0)] == [3]
