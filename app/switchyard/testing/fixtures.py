"""The same as pytest fixtures: `pytest_plugins = ["switchyard.testing.fixtures"]` in a project's conftest.py."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from switchyard.routing.session.context import activate, task_context
from switchyard.testing.lag_control import ReplicaLag
from switchyard.testing.lag_control import replica_lag as _replica_lag
from switchyard.testing.mirrors import shared_mirrors
from switchyard.testing.assertions import assert_queries as _assert_queries


@pytest.fixture(scope="session", autouse=True)
def _mirrors_share() -> Iterator[None]:
    with shared_mirrors():
        yield


@pytest.fixture(autouse=True)
def _fresh_routing_state() -> Iterator[None]:
    """Let no test owe what another one wrote."""
    with activate(task_context()):
        yield


@pytest.fixture
def replica_lag() -> Iterator[ReplicaLag]:
    """Yield what makes replicas lag until the test ends, `switchyard.testing.ReplicaLag`."""
    with _replica_lag() as lag:
        yield lag


@pytest.fixture
def assert_queries() -> Callable[..., AbstractContextManager[None]]:
    """Return `switchyard.testing.assert_queries`."""
    return _assert_queries
