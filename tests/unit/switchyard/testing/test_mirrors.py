"""Mirrors that share their owner's connection, on SQLite. What they must do is said by project/shop/tests.py."""

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


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("entry", [MEMORY, FILE], ids=["memory", "file"])
@pytest.mark.parametrize("command", [DJANGO, PYTEST], ids=["django", "pytest"])
def test_mirrors__either_runner(
    tmp_path: Path, command: tuple[str, ...], entry: dict[str, str], order: tuple[str, ...]
) -> None:
    """Every expectation holds by Django's runner and by pytest, whichever alias DATABASES names first."""
    assert "FAILED" not in passed(tmp_path, databases(entry, order), *command)


@pytest.mark.parametrize(("method", "order"), [("fork", ORDERS[0]), ("spawn", ORDERS[1])])
def test_mirrors__parallel_workers(tmp_path: Path, method: str, order: tuple[str, ...]) -> None:
    """In a worker the mirror follows its owner to the worker's clone."""
    said = passed(tmp_path, databases(MEMORY, order), "start.py", method, "test", "shop", "--parallel", "2")

    assert said.count("Cloning") == 2


def test_mirrors__plain_django(tmp_path: Path) -> None:
    """Without the runner the same tests fail: they could tell."""
    plain = (*DJANGO, "--testrunner", "django.test.runner.DiscoverRunner")
    with pytest.raises(AssertionError, match="table is locked"):
        passed(tmp_path, databases(MEMORY, ORDERS[0]), *plain)


def test_shared_mirrors__undone_afterwards() -> None:
    """A mirror is one inside the block, also when blocks are nested, and Django's own connection after it."""
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


def test_shared_mirrors__judged_before() -> None:
    """What was started before there were test databases ends: it judges other servers than the tests use."""
    monitor.start()
    with connected(PAIR), shared_mirrors():
        judged = monitor.running()

    assert not judged


def test_shared_mirrors__a_copy() -> None:
    """A copy of a mirror's wrapper is one with a connection of its own."""
    with connected(PAIR), shared_mirrors():
        connections["replica"].creation.set_as_test_mirror(connections.settings["default"])
        copied = connections["replica"].copy()

        assert not isinstance(copied, Mirror)
        assert copied.alias == "replica"
