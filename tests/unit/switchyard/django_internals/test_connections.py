"""Connections: how Django makes them, opens them and sends statements."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, close_old_connections, connections, transaction
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper, debug_transaction
from django.db.utils import ConnectionHandler, load_backend
from tests.support.noting import SQLITE, StopHereError, file_in, noting


def test_connection_handler__makes_each_connection_once() -> None:
    """`connections[alias]` calls `create_connection()` where the thread has none; `all()` lists the existing ones."""
    handler = ConnectionHandler({"default": dict(SQLITE), "other": dict(SQLITE)})
    create, made_for = handler.create_connection, []
    handler.create_connection = lambda alias: made_for.append(alias) or create(alias)  # type: ignore[method-assign,func-returns-value]

    assert handler.all(initialized_only=True) == []
    first = handler["default"]
    assert (handler["default"], handler.all(initialized_only=True)) == (first, [first])
    del handler["default"]
    assert handler["default"] is not first
    handler["other"] = first
    assert (handler["other"], made_for) == (first, ["default", "default"])


def test_connection_handler__settings_of_a_connection() -> None:
    """A connection's `settings_dict` is the entry in `connections.settings`: a mark there is seen at once."""
    handler = ConnectionHandler({"default": dict(SQLITE)})
    connection = handler["default"]
    handler.settings["default"]["MARK"] = True

    assert connection.settings_dict["MARK"]


def test_wrapper__class_is_replaced(scratch: Callable[..., Any]) -> None:
    """A connection can take a subclass of its class, before it opens and after."""
    connection = scratch()
    for _ in range(2):
        connection.__class__ = noting(type(connection), "_cursor")
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    assert connection.noted == 3 * [("_cursor",)]


def test_wrapper__copy(scratch: Callable[..., Any]) -> None:
    """A copy has the class of the original, settings of its own and no driver connection."""
    connection = scratch()
    connection.ensure_connection()
    copied = connection.copy()

    assert (type(copied), copied.alias, copied.connection) == (type(connection), "scratch", None)
    assert copied.settings_dict == connection.settings_dict
    assert copied.settings_dict["OPTIONS"] is not connection.settings_dict["OPTIONS"]


def test_wrapper__settings_are_read_at_connect(scratch: Callable[..., Any], tmp_path: Path) -> None:
    """`settings_dict` may be replaced before a connection opens."""
    connection = scratch()
    connection.settings_dict = {**connection.settings_dict, "NAME": tmp_path / "other"}
    connection.ensure_connection()

    assert (tmp_path / "other").exists()


def test_wrapper__order_of_opening(scratch: Callable[..., Any]) -> None:
    """A cursor opens the connection first: the driver's connection, autocommit, its state, then the signal."""
    names = (
        *("close_if_health_check_failed", "ensure_connection", "get_connection_params", "get_new_connection"),
        *("set_autocommit", "init_connection_state", "create_cursor", "_prepare_cursor", "_cursor"),
    )
    connection = scratch(*names)

    def opened(connection: Any, **_signal: Any) -> None:
        connection.noted.append(("connection_created",))

    connection_created.connect(opened)
    try:
        connection.cursor().close()
    finally:
        connection_created.disconnect(opened)

    noted = [name for name, *_ in connection.noted]
    assert list(dict.fromkeys(noted)) == [
        *("_cursor", "close_if_health_check_failed", "ensure_connection", "get_connection_params"),
        *("get_new_connection", "set_autocommit", "init_connection_state", "connection_created", "create_cursor"),
        "_prepare_cursor",
    ]
    assert ("set_autocommit", True) in connection.noted
    assert ("create_cursor", None) in connection.noted


def test_wrapper__opens_only_once(scratch: Callable[..., Any]) -> None:
    """`ensure_connection()` opens a connection only while `connection` is None."""
    connection = scratch("get_new_connection")
    assert (connection.connection, connection.autocommit) == (None, False)
    connection.ensure_connection()
    connection.ensure_connection()

    assert isinstance(connection.connection, sqlite3.Connection)
    assert (len(connection.noted), connection.autocommit, connection.in_atomic_block) == (1, True, False)


def test_wrapper__create_cursor_on_the_object(scratch: Callable[..., Any]) -> None:
    """A `create_cursor` on the object is called in the place of the method."""
    connection = scratch()
    connection.ensure_connection()
    create, named = connection.create_cursor, []
    connection.create_cursor = lambda name=None: named.append(name) or create(name)
    connection.cursor().close()
    connection.chunked_cursor().close()

    assert named == [None, None]


def test_wrapper__execute_wrappers(scratch: Callable[..., Any]) -> None:
    """The first wrapper is the outermost; the end of `execute_wrapper()` removes the last one."""
    connection = scratch()
    connection.ensure_connection()
    connection.execute_wrappers.clear()
    ran: list[str] = []

    def wrapper(name: str) -> Callable[..., Any]:
        def run(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
            assert context["connection"] is connection
            assert isinstance(context["cursor"], CursorWrapper)
            ran.append(name)
            return execute(sql, params, many, context)

        return run

    first, second, last = wrapper("first"), wrapper("second"), wrapper("last")
    connection.execute_wrappers.append(second)
    with connection.execute_wrapper(last), connection.cursor() as cursor:
        connection.execute_wrappers.insert(0, first)
        cursor.execute("SELECT 1")

    assert (ran, connection.execute_wrappers) == (["first", "second", "last"], [first, second])


def test_wrapper__transaction_statements(scratch: Callable[..., Any]) -> None:
    """BEGIN of SQLite and savepoints pass the execute wrappers; other statements have a method of the wrapper each."""
    connection = scratch("_commit", "_rollback", "_close", "_set_autocommit")
    connection.ensure_connection()
    connection.noted.clear()
    sent: list[str] = []

    def send(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        sent.append(sql.split()[0])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(send):
        with transaction.atomic("scratch"), transaction.atomic("scratch"):
            pass
        with suppress(StopHereError), transaction.atomic("scratch"):
            raise StopHereError
    connection.close()

    assert sent == ["BEGIN", "SAVEPOINT", "RELEASE", "BEGIN"]
    assert [name for name, *_ in connection.noted] == [
        *("_commit", "_set_autocommit", "_rollback", "_set_autocommit", "_close"),
    ]


def test_wrapper__commit_before_the_end_of_a_transaction(scratch: Callable[..., Any]) -> None:
    """The outermost `atomic()` calls `commit()` while the transaction is open; savepoints and rollbacks do not."""
    connection = scratch("commit", "_commit", "_set_autocommit")
    connection.ensure_connection()
    connection.noted.clear()

    with transaction.atomic("scratch"), transaction.atomic("scratch"):
        pass
    with suppress(StopHereError), transaction.atomic("scratch"):
        raise StopHereError
    connection.close()

    assert [name for name, *_ in connection.noted] == ["commit", "_commit", "_set_autocommit", "_set_autocommit"]


def test_sqlite__transaction_mode(scratch: Callable[..., Any]) -> None:
    """SQLite begins a transaction with the mode in an attribute, which opening reads from the settings."""
    connection = scratch()
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": {"transaction_mode": "immediate"}}
    connection.ensure_connection()
    sent: list[str] = []
    connection.connection.set_trace_callback(sent.append)
    for mode in ("IMMEDIATE", None):
        assert connection.transaction_mode == "IMMEDIATE"
        connection.transaction_mode = mode
        with transaction.atomic("scratch"):
            pass

    assert sent == ["BEGIN IMMEDIATE", "COMMIT", "BEGIN", "COMMIT"]


def test_wrapper__closed_after_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django ends a request by `close_if_unusable_or_obsolete()` of each connection."""
    asked: list[str] = []
    for alias in connections:
        note = partial(asked.append, alias)
        monkeypatch.setattr(connections[alias], "close_if_unusable_or_obsolete", note)
    close_old_connections()

    assert asked == list(connections)


def test_wrapper__errors_of_the_driver(scratch: Callable[..., Any]) -> None:
    """`wrap_database_errors` raises Django's error from the driver's; `Database` is the driver's module."""
    connection = scratch()
    assert connection.Database.Error is sqlite3.Error
    with pytest.raises(OperationalError) as raised, connection.wrap_database_errors:
        raise sqlite3.OperationalError("lost")

    assert isinstance(raised.value.__cause__, sqlite3.OperationalError)


@pytest.mark.usefixtures("scratch")
def test_wrapper__makes_a_connection_that_it_does_not_keep(tmp_path: Path) -> None:
    """`load_backend()` leads to a wrapper that opens a driver connection and does not keep it."""
    entry = file_in(tmp_path)
    wrapper = load_backend(entry["ENGINE"]).DatabaseWrapper(entry, "scratch")
    driver = wrapper.get_new_connection(wrapper.get_connection_params())

    assert driver.execute("SELECT 1").fetchone() == (1,)
    assert wrapper.connection is None
    driver.close()


def test_wrapper__names(scratch: Callable[..., Any]) -> None:
    """A wrapper names its vendor for programs and for people, and tells whether its connection lives."""
    connection = scratch()
    connection.ensure_connection()

    assert (connection.vendor, connection.display_name, connection.is_usable()) == ("sqlite", "SQLite", True)


def test_debug_transaction__logs(scratch: Callable[..., Any]) -> None:
    """`debug_transaction()` logs the statement as a query and sends nothing."""
    connection = scratch()
    connection.force_debug_cursor = True
    with debug_transaction(connection, "COMMIT"):
        pass

    assert ([query["sql"] for query in connection.queries_log], connection.connection) == (["COMMIT"], None)
