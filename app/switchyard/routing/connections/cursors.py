"""Cursors that report each call into the driver: subclasses of the driver's own cursor classes.

They stand below every execute wrapper and debug cursor. A statement that a wrapper refuses never arrives here, so it is
no call. COPY and stored procedures pass no wrapper, but they are calls. Do not override a method that calls another
overridden method: it would report the call twice.

Functions make the classes, with the driver's class as the only base. A cursor can change its class only to a class
that adds nothing to its layout, and a mixin would add something.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

# Begins a call: takes the query and the cursor, returns the block in which the driver runs it.
type BeginCall = Callable[[Any, Any], AbstractContextManager[None]]


def reporting_cursor(driver_cursor: type, begin: BeginCall, begin_unwrapped: BeginCall, vendor: str) -> type:
    """Return a subclass of the driver's cursor class that runs each call in the block that `begin()` returns.

    `begin_unwrapped()` begins the calls that pass no execute wrapper, and may refuse them. A class that already reports
    its calls is returned unchanged.
    """
    if hasattr(driver_cursor, "reports_calls"):
        return driver_cursor
    return _BY_VENDOR.get(vendor, _reporting)(driver_cursor, begin, begin_unwrapped)


def _reporting(driver_cursor: Any, begin: BeginCall, _begin_unwrapped: BeginCall) -> type:
    class Reporting(driver_cursor):  # type: ignore[misc]
        __slots__ = ()
        reports_calls = True

        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            with begin(query, self):
                return super().execute(query, *args, **kwargs)

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            with begin(query, self):
                return super().executemany(query, *args, **kwargs)

    return Reporting


def _reporting_postgres(driver_cursor: Any, begin: BeginCall, begin_unwrapped: BeginCall) -> type:
    base: Any = _reporting(driver_cursor, begin, begin_unwrapped)

    class ReportingPostgres(base):  # type: ignore[misc]
        __slots__ = ()  # and no `callproc`, which goes through `execute`

        @contextmanager
        def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            with begin_unwrapped(statement, self), super().copy(statement, *args, **kwargs) as copy:
                yield copy

        def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            with begin_unwrapped(query, self):
                yield from super().stream(query, *args, **kwargs)

    return ReportingPostgres


def _reporting_mysql(driver_cursor: Any, begin: BeginCall, begin_unwrapped: BeginCall) -> type:
    base: Any = _reporting(driver_cursor, begin, begin_unwrapped)

    class ReportingMySQL(base):  # type: ignore[misc]
        __slots__ = ()

        def callproc(self, name: str, *args: Any) -> Any:
            with begin_unwrapped(f"CALL {name}", self):
                return self.cursor.callproc(name, *args)  # Django's wrapper does not define it

    return ReportingMySQL


def _reporting_sqlite(driver_cursor: Any, begin: BeginCall, begin_unwrapped: BeginCall) -> type:
    base: Any = _reporting(driver_cursor, begin, begin_unwrapped)

    class ReportingSQLite(base):  # type: ignore[misc]
        __slots__ = ()

        def executescript(self, script: str) -> Any:
            with begin_unwrapped(script, self):
                return super().executescript(script)

    return ReportingSQLite


_BY_VENDOR = {"postgresql": _reporting_postgres, "mysql": _reporting_mysql, "sqlite": _reporting_sqlite}
