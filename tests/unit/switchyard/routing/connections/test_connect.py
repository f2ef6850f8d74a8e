"""Opening a connection to a server that may be marked down meanwhile."""

from threading import Event
from typing import Any

import pytest
from django.db import OperationalError

from switchyard.routing.connections.connect import connect_unless_down


def down_at_check(number: int) -> Any:
    """Return a `down_error` that returns an error at the given call."""
    results = iter([None] * (number - 1) + [OperationalError("down")])
    return lambda: next(results)


def test_connect_unless_down__at_once() -> None:
    """The connection is returned, and `down_error` is not called."""
    connection = object()

    assert connect_unless_down(lambda: connection, down_error=pytest.fail, discard=pytest.fail) is connection


def test_connect_unless_down__slow_server() -> None:
    """A slow server that is not down gets the time that it needs."""
    checked = Event()

    def not_down() -> None:
        checked.set()

    assert connect_unless_down(lambda: checked.wait(10), down_error=not_down, discard=pytest.fail) is True


@pytest.mark.parametrize("error", [OperationalError("refused"), TimeoutError("its own")])
def test_connect_unless_down__refused(error: Exception) -> None:
    """The error of the driver is raised, also a TimeoutError."""

    def refuse() -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        connect_unless_down(refuse, down_error=lambda: None, discard=pytest.fail)


def test_connect_unless_down__down_meanwhile() -> None:
    """The caller gets the error at once; a connection that opens late is closed."""
    greeted, closed = Event(), Event()
    connection, late = object(), []

    def open_connection() -> object:
        assert greeted.wait(10)
        return connection

    def close(late_connection: object) -> None:
        late.append(late_connection)
        closed.set()

    with pytest.raises(OperationalError, match="down"):
        connect_unless_down(open_connection, down_error=down_at_check(2), discard=close)
    greeted.set()

    assert closed.wait(10)
    assert late == [connection]


def test_connect_unless_down__down_and_refused_late() -> None:
    """If the attempt fails late, there is nothing to close."""
    greeted, ended = Event(), Event()

    def open_connection() -> None:
        assert greeted.wait(10)
        ended.set()
        raise OperationalError("late")

    with pytest.raises(OperationalError, match="down"):
        connect_unless_down(open_connection, down_error=down_at_check(1), discard=pytest.fail)
    greeted.set()

    assert ended.wait(10)
