"""Pytest fixtures for projects: `pytest_plugins = ["switchyard.testing.fixtures"]` in the topmost conftest.py.

Two fixtures apply to every test by themselves: mirrors share the connection of their owner, and each test begins with a
routing context of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from switchyard.routing.session.context import activate, task_context
from switchyard.testing.assertions import assert_queries as _assert_queries
from switchyard.testing.lag_control import ReplicaLag
from switchyard.testing.lag_control import replica_lag as _replica_lag
from switchyard.testing.mirrors import shared_mirrors


@pytest.fixture(scope="session", autouse=True)
def _shared_mirrors() -> Iterator[None]:
    """Let mirrors share the connection of their owner in all tests."""
    with shared_mirrors():
        yield


@pytest.fixture(autouse=True)
def _fresh_routing_context() -> Iterator[None]:
    """Begin the test with a new routing context, so that no test is pinned by the writes of another test."""
    with activate(task_context()):
        yield


@pytest.fixture
def replica_lag() -> Iterator[ReplicaLag]:
    """Yield a `switchyard.testing.ReplicaLag`; the lag ends with the test.

    A client reads its own write from the owner:

        def test_own_write(replica_lag, assert_queries):
            replica_lag.pause()
            Order.objects.create(number=1)
            with assert_queries(default=1):
                Order.objects.get(number=1)
    """
    with _replica_lag() as lag:
        yield lag


@pytest.fixture
def assert_queries() -> Callable[..., AbstractContextManager[None]]:
    """Return the function `switchyard.testing.assert_queries`, for a block in the test."""
    return _assert_queries
