"""The calls that run now, and the end of those beyond the share of a server that answers late."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from switchyard.routing.connections.calls import Call
from switchyard.routing.monitor import sockets, waits
from switchyard.routing.monitor.waits import Wait, Waits, waits_for
from switchyard.sql import classify

SWITCHYARD = {"OWNERS": {"*": "default"}, "THREADS": 4}


class Connection:
    """A driver connection, or its cursor, with the attributes that these tests use."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    @property
    def connection(self) -> "Connection":
        return self

    def fileno(self) -> int:
        return self.end.fileno()


@pytest.fixture
def pairs() -> Iterator[list[tuple[Connection, socket.socket]]]:
    """Four tracked connections of the alias `waited`, and the server's end of each."""
    with ExitStack() as stack:
        ends = [socket.socketpair() for _ in range(4)]
        made = []
        for ours, theirs in ends:
            stack.enter_context(ours)
            stack.enter_context(theirs)
            made.append((Connection(ours), theirs))
            sockets.track("waited", made[-1][0])
        yield made


def is_shut_down(end: socket.socket) -> bool:
    end.setblocking(False)
    try:
        return end.recv(1) == b""
    except BlockingIOError:
        return False


@override_settings(SWITCHYARD=SWITCHYARD)
def test_end_beyond_share__the_youngest(pairs: list[tuple[Connection, socket.socket]]) -> None:
    """The two calls that began last are ended, and the two within the share go on."""
    called = Waits("waited")
    for cursor, _ in pairs:
        called.running[object()] = cursor
    ended = called.end_beyond_share()

    assert ended == 2
    assert [is_shut_down(end) for _, end in pairs] == [False, False, True, True]


@override_settings(SWITCHYARD=SWITCHYARD)
def test_end_beyond_share__a_thread_that_connects(pairs: list[tuple[Connection, socket.socket]]) -> None:
    """A thread that connects counts, and has no socket to shut down."""
    called = Waits("waited")
    for waited_for in (pairs[0][0], pairs[1][0], None):
        called.running[object()] = waited_for

    assert (len(called.beyond_share()), called.end_beyond_share()) == (1, 0)


@pytest.mark.parametrize(("threads", "full_at"), [(8, 4), (2, 1), (1, 1), (None, None)])
def test_is_full__half_of_the_threads(threads: int | None, full_at: int | None) -> None:
    """Half of the threads may wait, and one at least. Without THREADS the share is unknown, and nothing is full."""
    called, full = Waits("waited"), []
    with override_settings(SWITCHYARD={**SWITCHYARD, "THREADS": threads}):
        for number in range(1, 9):
            called.running[object()] = None
            full += [number] if called.is_full() else []
        beyond = called.beyond_share()

    assert full == ([] if full_at is None else list(range(full_at, 9)))
    assert len(beyond) == (0 if full_at is None else 8 - full_at)


def test_wait__inside_the_block() -> None:
    """A block counts as a call of its alias until it ends."""
    with Wait("waited", "connection") as wait:
        inside = dict(waits_for("waited").running)

    assert inside == {wait: "connection"}
    assert waits_for("waited").running == {}


def test_wait__forked_inside() -> None:
    """A child process has none of the calls of its parent, and a block that ends there raises nothing."""
    with Wait("waited"):
        waits._after_fork()
        inside = dict(waits_for("waited").running)

    assert inside == {}


@pytest.mark.django_db(databases=["default"])
def test_call__running_and_answered() -> None:
    """A call runs until its end. An answered call counts as a sign of life, a failed one does not."""
    called, connection = waits_for("default"), connections["default"]
    seen: list[Any] = []
    with connection.cursor() as cursor:
        connection.connection.create_function("seen", 0, lambda: seen.append(list(called.running.values())))
        before = called.answered
        cursor.execute("SELECT seen()")
        answered = called.answered - before
    with pytest.raises(ZeroDivisionError), Call(called, "sqlite", classify("SELECT 1", "sqlite"), "SELECT 1", None):
        raise ZeroDivisionError

    assert seen == [[cursor.cursor]]
    assert (answered, called.answered - before, called.running) == (1, 1, {})
