"""Cursors that count their calls into the driver: subclasses of the driver's own, one for each alias.

Below every execute wrapper and debug cursor, so that a statement which a wrapper refuses is no query, and what no
wrapper sees (COPY, stored procedures) is one. A method that calls another one of these stays out, or it counts twice.

Made by functions, with the driver's class as the only base: a cursor can change its class to one that adds nothing to
its layout, and a mixin would.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from switchyard.telemetry.recorder import Recorder


def counted(driver_cursor: type, recorder: Recorder, vendor: str) -> type:
    """Return the driver's cursor class with its calls counted; a class that counts already is returned as it is."""
    if hasattr(driver_cursor, "counts_calls"):
        return driver_cursor
    return _BY_VENDOR.get(vendor, _counted)(driver_cursor, recorder)


def _counted(driver_cursor: Any, recorder: Recorder) -> type:
    class Counted(driver_cursor):  # type: ignore[misc]
        __slots__ = ()
        counts_calls = True

        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            with recorder.call(query, self):
                return super().execute(query, *args, **kwargs)

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            with recorder.call(query, self):
                return super().executemany(query, *args, **kwargs)

    return Counted


def _counted_postgres(driver_cursor: Any, recorder: Recorder) -> type:
    base: Any = _counted(driver_cursor, recorder)

    class CountedPostgres(base):  # type: ignore[misc]
        __slots__ = ()  # and no `callproc`, which goes through `execute`

        @contextmanager
        def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            with recorder.call(statement, self), super().copy(statement, *args, **kwargs) as copy:
                yield copy

        def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            with recorder.call(query, self):
                yield from super().stream(query, *args, **kwargs)

    return CountedPostgres


def _counted_mysql(driver_cursor: Any, recorder: Recorder) -> type:
    base: Any = _counted(driver_cursor, recorder)

    class CountedMySQL(base):  # type: ignore[misc]
        __slots__ = ()

        def callproc(self, name: str, *args: Any) -> Any:
            with recorder.call(f"CALL {name}", self):
                return self.cursor.callproc(name, *args)  # Django's wrapper has none of its own

    return CountedMySQL


def _counted_sqlite(driver_cursor: Any, recorder: Recorder) -> type:
    base: Any = _counted(driver_cursor, recorder)

    class CountedSQLite(base):  # type: ignore[misc]
        __slots__ = ()

        def executescript(self, script: str) -> Any:
            with recorder.call(script, self):
                return super().executescript(script)

    return CountedSQLite


_BY_VENDOR = {"postgresql": _counted_postgres, "mysql": _counted_mysql, "sqlite": _counted_sqlite}
