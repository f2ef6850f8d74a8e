"""The same as pytest fixtures: `pytest_plugins = ["switchyard.testing.fixtures"]` in a project's conftest.py."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from switchyard.testing.queries import assert_queries as _assert_queries


@pytest.fixture
def assert_queries() -> Callable[..., AbstractContextManager[None]]:
    """Return `switchyard.testing.assert_queries`."""
    return _assert_queries
