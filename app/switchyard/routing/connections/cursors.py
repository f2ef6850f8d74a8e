"""Cursors that report each call into the driver: subclasses of the driver's own cursor classes.

They stand below every execute wrapper and debug cursor. A statement that a wrapper refuses never arrives here, so it is
no call. COPY and stored procedures pass no wrapper, but they are calls. Do not override a method that calls another
overridden method: it would report the call twice.

Functions make the classes, with the driver's class as the only base. A cursor can change its class only to a class
that adds nothing to its layout, and a mixin would add something.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

# Takes a query, its cursor, its parameters and the other arguments; returns the query to send in its place.
type Comment = Callable[[Any, Any, Any, dict[str, Any]], Any]
# Begins a call: takes the query and the cursor.
type BeginCall = Callable[[Any, Any], RunningCall]
# Takes the number of rows that a program has fetched.
type Fetched = Callable[[int], None]


class RunningCall(Protocol):
    """A call that has begun. As a context manager it ends with its block."""

    @property
    def comment(self) -> Comment | None:
        """The function that adds a comment to the statement; None without a comment."""
        ...

    def end(self, error: BaseException | None) -> None:
        """Take note of the end of the call; `error` is the exception of the driver, None without one."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


_UNKNOWN_ROWS = 2**63  # mysqlclient: a number above this, which is -1 without a sign


def reporting_cursor(
    driver_cursor: type, begin: BeginCall, begin_unwrapped: BeginCall, fetched: Fetched, vendor: str
) -> type:
    """Return a subclass of the driver's cursor class that begins each call with `begin()`, and ends it.

    `begin_unwrapped()` begins the calls that pass no execute wrapper, and may refuse them. `fetched()` takes numbers of
    rows that are not known at the end of their call. A class that already reports its calls is returned unchanged.
    """
    if hasattr(driver_cursor, "reports_calls"):
        return driver_cursor
    return _BY_VENDOR.get(vendor, _reporting)(driver_cursor, begin, begin_unwrapped, fetched)


def rows_of(cursor: Any, operation: str) -> tuple[int, int]:
    """Return the rows that the last call returned, and those that it affected, as far as the cursor knows them."""
    rows: int = cursor.rowcount
    if not 0 < rows < _UNKNOWN_ROWS:
        return 0, 0
    if operation != "write":
        return rows, 0
    result = getattr(cursor, "pgresult", None)  # of RETURNING, which may be the last of several
    return (result.ntuples if result else 0), rows


def _reporting(driver_cursor: Any, begin: BeginCall, _begin_unwrapped: BeginCall, _fetched: Fetched) -> type:
    class Reporting(driver_cursor):  # type: ignore[misc]
        __slots__ = ()
        reports_calls = True

        # Neither `with` nor `*args` for a query as Django sends it: they would slow each query of a program.
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            call = begin(query, self)
            try:
                if (comment := call.comment) is not None:
                    query = comment(query, self, params, options)
                if params is not None and not options:
                    result = super().execute(query, params)
                else:
                    result = super().execute(query, *(() if params is None else (params,)), **options)
            except BaseException as error:
                call.end(error)
                raise
            call.end(None)
            return result

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            with begin(query, self):
                return super().executemany(query, *args, **kwargs)

    return Reporting


def _counting_fetches(driver_cursor: Any, fetched: Fetched) -> type:
    class CountingFetches(driver_cursor):  # type: ignore[misc]
        __slots__ = ()

        def fetchone(self) -> Any:
            row = super().fetchone()
            if row is not None:
                fetched(1)
            return row

        def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
            rows = super().fetchmany(*args, **kwargs)
            fetched(len(rows))
            return rows

        def fetchall(self) -> Any:
            rows = super().fetchall()
            fetched(len(rows))
            return rows

        def __next__(self) -> Any:
            row = super().__next__()
            fetched(1)
            return row

    return CountingFetches


def _reporting_postgres(driver_cursor: Any, begin: BeginCall, begin_unwrapped: BeginCall, fetched: Fetched) -> type:
    if hasattr(driver_cursor, "withhold"):  # of server-side cursors, which fetch their rows later
        driver_cursor = _counting_fetches(driver_cursor, fetched)
    base: Any = _reporting(driver_cursor, begin, begin_unwrapped, fetched)

    class ReportingPostgres(base):  # type: ignore[misc]
        __slots__ = ()  # and no `callproc`, which goes through `execute`

        @contextmanager
        def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            with begin_unwrapped(statement, self), super().copy(statement, *args, **kwargs) as copy:
                yield copy

        def stream(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            with begin_unwrapped(query, self):
                for row in super().stream(query, *args, **kwargs):
                    fetched(1)
                    yield row

    return ReportingPostgres


def _reporting_mysql(driver_cursor: Any, begin: BeginCall, begin_unwrapped: BeginCall, fetched: Fetched) -> type:
    base: Any = _reporting(driver_cursor, begin, begin_unwrapped, fetched)

    class ReportingMySQL(base):  # type: ignore[misc]
        __slots__ = ()

        def callproc(self, name: str, *args: Any) -> Any:
            with begin_unwrapped(f"CALL {name}", self):
                return self.cursor.callproc(name, *args)  # Django's wrapper does not define it

    return ReportingMySQL


def _reporting_sqlite(driver_cursor: Any, begin: BeginCall, begin_unwrapped: BeginCall, fetched: Fetched) -> type:
    base: Any = _reporting(_counting_fetches(driver_cursor, fetched), begin, begin_unwrapped, fetched)

    class ReportingSQLite(base):  # type: ignore[misc]
        __slots__ = ()

        def executescript(self, script: str) -> Any:
            with begin_unwrapped(script, self):
                return super().executescript(script)

    return ReportingSQLite


_BY_VENDOR = {"postgresql": _reporting_postgres, "mysql": _reporting_mysql, "sqlite": _reporting_sqlite}
