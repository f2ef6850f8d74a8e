"""Mirrors that share the connection of their owner, on SQLite. project/shop/tests.py holds the expectations."""

from pathlib import Path

import pytest
from django.db import connections
from tests.support.connected import connected
from tests.unit.switchyard.testing.ownproject import DJANGO, ORDERS, PYTEST, databases, passed

from switchyard.routing.monitor import monitor
from switchyard.testing.mirrors import SHARES_CONNECTION_OF, Mirror, shared_mirrors

MEMORY = {"ENGINE": "django.db.backends.sqlite3", "NAME": "never-used"}
FILE = {**MEMORY, "TEST": {"NAME": "test.sqlite3"}}
PAIR = {"default": MEMORY, "replica": {**MEMORY, "TEST": {"MIRROR": "default"}}}


@pytest.mark.parametrize(
    ("command", "entry", "order"),
    [
        (DJANGO, MEMORY, ORDERS[0]),
        (DJANGO, FILE, ORDERS[1]),
        (PYTEST, MEMORY, ORDERS[1]),
        (PYTEST, FILE, ORDERS[0]),
    ],
    ids=["django-memory", "django-file", "pytest-memory", "pytest-file"],
)
def test_shared_mirrors__runners(
    tmp_path: Path, command: tuple[str, ...], entry: dict[str, str], order: tuple[str, ...]
) -> None:
    """The expectations hold with Django's runner and with pytest, whichever alias DATABASES names first."""
    assert "FAILED" not in passed(tmp_path, databases(entry, order), *command)


@pytest.mark.parametrize(("method", "order"), [("fork", ORDERS[0]), ("spawn", ORDERS[1])])
def test_runner__parallel_workers(tmp_path: Path, method: str, order: tuple[str, ...]) -> None:
    """In a worker the mirror uses the clone of its owner."""
    output = passed(tmp_path, databases(MEMORY, order), "start.py", method, "test", "shop", "--parallel", "2")

    assert output.count("Cloning") == 2


def test_runner__plain_django(tmp_path: Path) -> None:
    """With Django's own runner the same tests fail, so they test the mirrors."""
    plain = (*DJANGO, "--testrunner", "django.test.runner.DiscoverRunner")
    with pytest.raises(AssertionError, match="table is locked"):
        passed(tmp_path, databases(MEMORY, ORDERS[0]), *plain)


def test_shared_mirrors__undone_afterwards() -> None:
    """The alias is a mirror inside the block, also in nested blocks, and has Django's own connection afterwards."""
    create_connection = connections.create_connection
    with connected(PAIR), shared_mirrors():
        with shared_mirrors():
            connections["replica"].creation.set_as_test_mirror(connections.settings["default"])
            inside = connections["replica"]
        outside = connections["replica"]
        marked = SHARES_CONNECTION_OF in connections.settings["replica"]

    assert isinstance(inside, Mirror)
    assert not isinstance(outside, Mirror)
    assert not marked
    assert connections.create_connection == create_connection


def test_shared_mirrors__running_monitor() -> None:
    """The block stops a monitor that was started before, because it watches other databases than the tests use."""
    monitor.start()
    with connected(PAIR), shared_mirrors():
        running = monitor.running()

    assert not running


def test_mirror__copy() -> None:
    """A copy of a mirror has a connection of its own."""
    with connected(PAIR), shared_mirrors():
        connections["replica"].creation.set_as_test_mirror(connections.settings["default"])
        copied = connections["replica"].copy()

        assert not isinstance(copied, Mirror)
        assert copied.alias == "replica"
