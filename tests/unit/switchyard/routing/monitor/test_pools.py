"""Resets of connection pools. tests/integration/cases/test_owner_away.py tests them with a pool."""

import pytest
from django.db import connections

from switchyard.routing.monitor.pools import reset_pool


@pytest.mark.django_db(databases=["default"])
def test_reset_pool__no_pool() -> None:
    """An alias without a pool keeps its connection."""
    connections["default"].ensure_connection()
    before = connections["default"].connection
    reset_pool("default")

    assert connections["default"].connection is before
    assert connections["default"].is_usable()
