"""One call into the driver, as numbers: which child of which family it adds to."""

from bisect import bisect_left
from time import perf_counter
from types import TracebackType
from typing import Any

from switchyard.routing import Statement, app_of, classify, read, wrote
from switchyard.routing.functions import may_write
from switchyard.routing.statements import text_of
from switchyard.telemetry import families
from switchyard.telemetry.counters import Counters
from switchyard.telemetry.layout import OTHER


class Recorder:
    """Counts the calls on one alias."""

    def __init__(self, counters: Counters, alias: str, vendor: str) -> None:
        self.cells = counters.cells
        self._layout = counters.layout
        self._alias = alias
        self._vendor = vendor
        self._columns: dict[tuple[str, str], tuple[int, int]] = {}

    def call(self, query: Any, cursor: Any) -> "Call":
        """Count the call of the cursor's that begins here, and return the context that times it."""
        statement = classify(text_of(query, cursor), self._vendor)
        queries, seconds = self._columns_of(statement.operation, app_of(statement))
        self.cells()[queries] += 1.0
        return Call(self, seconds, statement)

    def ended(self, statement: Statement) -> None:
        """Tell routing of what was read, and of what may have written."""
        if may_write(statement, self._alias):
            wrote(self._alias, statement)
        else:
            read(self._alias)

    def error_column(self, error: type[BaseException], sqlstate: str | None) -> int:
        """Return where errors of this class and state are counted."""
        name = next((cls.__name__ for cls in error.__mro__ if cls.__name__ in families.SQLSTATE_CLASSES), OTHER)
        state = sqlstate[:2] if sqlstate else families.NO_SQLSTATE
        known = (*families.SQLSTATE_CLASSES[name], families.NO_SQLSTATE)
        labels = name, state if state in known else OTHER
        return self._layout.column(families.ERRORS, (self._alias, self._vendor), labels)

    def _columns_of(self, operation: str, app: str) -> tuple[int, int]:
        columns = self._columns.get((operation, app))
        if columns is None:
            columns = self._columns[operation, app] = (
                self._layout.column(families.QUERIES, self._alias, operation, app),
                self._layout.column(families.DURATION, (self._alias, self._vendor), operation),
            )
        return columns


class Call:
    """A call under way: counted as it began, so that a process killed inside it has counted it, timed as it ends."""

    __slots__ = ("_recorder", "_seconds", "_started", "_statement")

    def __init__(self, recorder: Recorder, seconds: int, statement: Statement) -> None:
        self._recorder = recorder
        self._statement = statement
        self._seconds = seconds
        self._started = perf_counter()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        seconds = perf_counter() - self._started
        self._recorder.ended(self._statement)
        cells = self._recorder.cells()  # anew: a generator may be closed by another thread
        cells[self._seconds + bisect_left(families.BUCKETS, seconds)] += 1.0
        cells[self._seconds + len(families.BUCKETS) + 1] += seconds
        if kind is not None and kind is not GeneratorExit:
            cells[self._recorder.error_column(kind, getattr(error, "sqlstate", None))] += 1.0
