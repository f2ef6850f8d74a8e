"""Cursors that count their calls into the driver: subclasses of the driver's own, one for each alias.

Below every execute wrapper and debug cursor, so that a statement which a wrapper refuses is no query, and what no
wrapper sees (COPY, stored procedures) is one. A method that calls another one of these stays out, or it counts twice.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from switchyard.telemetry.recorder import Recorder


class Counted:
    """What every driver's cursor has."""

    __slots__ = ()
    recorder: Recorder

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        with self.recorder.call(query, self):
            return super().execute(query, *args, **kwargs)  # type: ignore[misc]

    def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        with self.recorder.call(query, self):
            return super().executemany(query, *args, **kwargs)  # type: ignore[misc]


class CountedPostgres(Counted):
    """psycopg 3: `callproc` goes through `execute`."""

    __slots__ = ()

    @contextmanager
    def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self.recorder.call(statement, self), super().copy(statement, *args, **kwargs) as copy:  # type: ignore[misc]
            yield copy

    def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self.recorder.call(query, self):
            yield from super().stream(query, *args, **kwargs)  # type: ignore[misc]


class CountedMySQL(Counted):
    """Django's wrapper around mysqlclient's cursor, which passes `callproc` on unseen."""

    __slots__ = ()
    cursor: Any

    def callproc(self, name: str, *args: Any) -> Any:
        with self.recorder.call(f"CALL {name}", self):
            return self.cursor.callproc(name, *args)


class CountedSQLite(Counted):
    """sqlite3."""

    __slots__ = ()

    def executescript(self, script: str) -> Any:
        with self.recorder.call(script, self):
            return super().executescript(script)  # type: ignore[misc]


_COUNTED = {"postgresql": CountedPostgres, "mysql": CountedMySQL, "sqlite": CountedSQLite}


def counted(driver_cursor: type, recorder: Recorder, vendor: str) -> type:
    """Return the driver's cursor class with its calls counted; a class that counts already is returned as it is."""
    if issubclass(driver_cursor, Counted):
        return driver_cursor
    mixin = _COUNTED.get(vendor, Counted)
    return type(f"Counted{driver_cursor.__name__}", (mixin, driver_cursor), {"__slots__": (), "recorder": recorder})
