"""Opening a connection to a server that may be found away meanwhile."""

from threading import Event
from typing import Any

import pytest
from django.db import OperationalError

from switchyard.routing.connections.connect import connect_unless_down


def away_after(looks: int) -> Any:
    """Return what finds the server away at the so-manieth look."""
    left = iter([None] * (looks - 1) + [OperationalError("away")])
    return lambda: next(left)


def test_opened__at_once() -> None:
    """What is opened is returned, and nobody looks."""
    connection = object()

    assert connect_unless_down(lambda: connection, down_error=pytest.fail, discard=pytest.fail) is connection


def test_opened__after_a_while() -> None:
    """A server that is only slow is waited for."""
    looked = Event()

    def away() -> None:
        looked.set()

    assert connect_unless_down(lambda: looked.wait(10), down_error=away, discard=pytest.fail) is True


@pytest.mark.parametrize("error", [OperationalError("refused"), TimeoutError("its own")])
def test_opened__refused(error: Exception) -> None:
    """What opening raises is raised, though it be the error that waiting raises."""

    def refuse() -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        connect_unless_down(refuse, down_error=lambda: None, discard=pytest.fail)


def test_opened__away_meanwhile() -> None:
    """Who waits is told at once; the connection that comes late is closed."""
    greeted, closed = Event(), Event()
    connection, late = object(), []

    def open_connection() -> object:
        assert greeted.wait(10)
        return connection

    def close(opened_late: object) -> None:
        late.append(opened_late)
        closed.set()

    with pytest.raises(OperationalError, match="away"):
        connect_unless_down(open_connection, down_error=away_after(2), discard=close)
    greeted.set()

    assert closed.wait(10)
    assert late == [connection]


def test_opened__away_and_refused_late() -> None:
    """Where opening fails late there is nothing to close."""
    greeted, ended = Event(), Event()

    def open_connection() -> None:
        assert greeted.wait(10)
        ended.set()
        raise OperationalError("late")

    with pytest.raises(OperationalError, match="away"):
        connect_unless_down(open_connection, down_error=away_after(1), discard=pytest.fail)
    greeted.set()

    assert ended.wait(10)
