"""The same as pytest fixtures: `pytest_plugins = ["switchyard.testing.fixtures"]` in a project's conftest.py."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from switchyard.testing.mirrors import shared_mirrors
from switchyard.testing.queries import assert_queries as _assert_queries


@pytest.fixture(scope="session", autouse=True)
def _mirrors_share() -> Iterator[None]:
    with shared_mirrors():
        yield


@pytest.fixture
def assert_queries() -> Callable[..., AbstractContextManager[None]]:
    """Return `switchyard.testing.assert_queries`."""
    return _assert_queries
