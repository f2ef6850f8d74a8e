"""The wrapper of PostgreSQL: its pool and its named cursors. No server is asked."""

from types import SimpleNamespace

import pytest
from django.db.utils import load_backend
from tests.support.noting import POSTGRESQL, parameters, postgresql


def test_postgresql__pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pool` makes a pool that calls `_configure_connection()`, and keeps it in `_connection_pools` of the class."""
    import psycopg_pool  # noqa: PLC0415 - `pool` imports it as late

    monkeypatch.setattr(psycopg_pool, "ConnectionPool", SimpleNamespace)
    connection = postgresql(_configure_connection=lambda _self, driver: f"configured {driver}")
    monkeypatch.setattr(type(connection).__mro__[1], "_connection_pools", {})
    assert getattr(connection, "_connection_pools", None) == {}

    pool = connection.pool

    assert connection._connection_pools == {"scratch": pool}
    assert (pool.configure("driver"), pool.open) == ("configured driver", False)


def test_postgresql__configure_connection() -> None:
    """Django's own `_configure_connection()` takes the driver's connection alone."""
    assert parameters(load_backend(POSTGRESQL["ENGINE"]).DatabaseWrapper._configure_connection) == [
        "self",
        "connection",
    ]


def test_postgresql__chunked_cursor() -> None:
    """`chunked_cursor()` is a cursor with a name, by way of `_cursor()`."""
    assert postgresql(_cursor=lambda _self, name=None: name).chunked_cursor().startswith("_django_curs_")
