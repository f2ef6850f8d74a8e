"""Cursors: Django's own and those of the drivers."""

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLiteWrapper
from django.db.backends.utils import CursorWrapper
from django.db.utils import load_backend
from tests.support.noting import SQLITE, configured, file_in, postgresql

from switchyard.routing.connections.cursors import reporting_cursor


def test_cursor_wrapper__cursor_is_replaced(scratch: Callable[..., Any], tmp_path: Path) -> None:
    """An open cursor goes on with another driver cursor on another connection; `execute()` is called on the class."""
    connection = scratch()
    other = SQLiteWrapper(file_in(tmp_path), "other")
    cursor, substitute = connection.cursor(), other.cursor()
    seen: list[str] = []

    def see(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        seen.append(context["connection"].alias)
        return execute(sql, params, many, context)

    cursor.cursor, cursor.db = substitute.cursor, other
    with other.execute_wrapper(see):
        CursorWrapper.execute(cursor, "SELECT 2", None)

    assert (cursor.fetchone(), seen) == ((2,), ["other"])
    other.close()


def test_driver_cursor__class_is_replaced(scratch: Callable[..., Any]) -> None:
    """A driver's cursor can take a subclass of its class that adds nothing to the layout."""
    from django.db.backends.postgresql import base  # noqa: PLC0415 - needs a driver

    begun: list[str] = []

    class Begun(nullcontext[None]):
        comment = None

        def end(self, error: BaseException | None) -> None:
            """Take no note."""

    def begin(query: Any, _cursor: Any) -> Any:
        begun.append(query)
        return Begun()

    def fetched(_rows: int) -> None:
        """Count nothing."""

    connection = scratch()
    connection.ensure_connection()
    cursor = SQLiteWrapper.create_cursor(connection)
    cursor.__class__ = reporting_cursor(type(cursor), begin, begin, fetched, "sqlite")
    cursor.execute("CREATE TABLE made (made)")
    cursor.executemany("UPDATE made SET made = %s", [])
    cursor.executescript("SELECT 2")
    assert begun == ["CREATE TABLE made (made)", "UPDATE made SET made = %s", "SELECT 2"]

    for driver_cursor in (base.Cursor, base.ServerBindingCursor, base.ServerSideCursor):
        cursor = driver_cursor.__new__(driver_cursor)
        cursor._closed = True  # else it warns when it is collected
        cursor.__class__ = reporting_cursor(driver_cursor, begin, begin, fetched, "postgresql")


def test_driver_cursor__calls_of_psycopg() -> None:
    """No reported method of psycopg calls another one, and `callproc()` goes through `execute()`."""
    from django.db.backends.postgresql import base  # noqa: PLC0415 - needs a driver

    reported = {"execute", "executemany", "copy", "stream"}
    for cursor in (base.Cursor, base.ServerBindingCursor):
        for name in reported:
            method = inspect.unwrap(getattr(cursor, name))
            assert not (reported - {name}) & set(method.__code__.co_names), name
    assert "execute" in base.Cursor.callproc.__code__.co_names


def test_driver_cursor__calls_of_mysqlclient() -> None:
    """Django wraps mysqlclient's cursor: `execute()` and `executemany()` are Django's, `callproc()` the driver's."""
    pytest.importorskip("MySQLdb")
    from django.db.backends.mysql import base  # noqa: PLC0415 - needs a driver

    driver = SimpleNamespace(callproc=lambda name: f"called {name}", _executed=b"SELECT 1")
    cursor = base.CursorWrapper(driver)

    assert {"execute", "executemany"} <= vars(base.CursorWrapper).keys()
    assert "callproc" not in vars(base.CursorWrapper)
    assert (cursor.cursor, cursor.callproc("f"), cursor._executed) == (driver, "called f", b"SELECT 1")


def test_driver_cursor__query_that_django_logs_of_psycopg() -> None:
    """The debug log reads `_query` of psycopg's cursors, which may be None."""
    connection = postgresql()
    query = SimpleNamespace(_query=SimpleNamespace(query=b"SELECT 1"))
    assert connection.ops.last_executed_query(query, "sql", ()) == "SELECT 1"

    unknown = connection.ops.last_executed_query(SimpleNamespace(_query=None), "sql", ())
    assert unknown is None or "sql" in unknown


def test_driver_cursor__query_that_django_logs_of_mysqlclient() -> None:
    """The debug log reads `_executed` of mysqlclient's cursors, which may be None."""
    pytest.importorskip("MySQLdb")
    mysql = load_backend("django.db.backends.mysql").DatabaseWrapper(configured(SQLITE), "scratch")
    assert mysql.ops.last_executed_query(SimpleNamespace(_executed=b"SELECT 1"), "sql", ()) == "SELECT 1"
    assert mysql.ops.last_executed_query(SimpleNamespace(_executed=None), "sql", ()) == "None"
