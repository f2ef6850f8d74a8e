"""Count each call into a driver: the call, its seconds and its error."""

from bisect import bisect_left
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from switchyard.conf import conf
from switchyard.routing.connections import calls
from switchyard.routing.topology.tables import app_of
from switchyard.sql import Statement
from switchyard.telemetry import counters, metrics
from switchyard.telemetry.counters import Counters
from switchyard.telemetry.layout import OTHER

_BUCKETS = metrics.DURATION_BUCKETS_SECONDS
_TO_SUM = len(_BUCKETS) + 1  # from the first cell of the histogram to the sum of its values

_installed: list[calls.CallObserver] = []


def install() -> None:
    """Open the counters, and count every call from now on. A second call changes nothing.

    Django calls `ready()` again if a test overrides INSTALLED_APPS.
    """
    try:
        opened = counters.start(metrics.layout(), conf.metrics_dir)
    except OSError as error:
        raise ImproperlyConfigured(
            f"SWITCHYARD['METRICS_DIR'] = {conf.metrics_dir!r} cannot be used: {error.strerror}."
            " Name a directory that this user may write, or leave it out to count in each process alone."
        ) from error
    while _installed:
        calls.remove_observer(_installed.pop())
    _installed.append(CallCounter(opened))
    calls.add_observer(_installed[0])


class CallCounter(calls.CallObserver):
    """Counts a call at its begin, so that a killed process has counted it; its seconds and its error at its end."""

    def __init__(self, to: Counters) -> None:
        self._cells = to.cells
        self._thread_local = to.thread_local
        self._layout = to.layout
        self._query_indexes: dict[tuple[str, str, str], int] = {}
        self._duration_indexes: dict[tuple[str, str], int] = {}
        self._rows_indexes: dict[str, int] = {}

    def call_began(self, alias: str, vendor: str, statement: Statement) -> None:
        """Count the call."""
        key = alias, statement.operation, app_of(statement.tables)
        index = self._query_indexes.get(key)
        if index is None:
            index = self._query_indexes[key] = self._layout.index_of(metrics.QUERIES, *key)
        try:
            self._thread_local.cells[index] += 1.0
        except AttributeError:  # the first call of a thread
            self._cells()[index] += 1.0

    def call_ended(
        self, alias: str, vendor: str, statement: Statement, seconds: float, error: BaseException | None
    ) -> None:
        """Count the seconds of the call, and its error. The closing of a generator is no error."""
        key = alias, statement.operation  # without the app: to look for it again would slow each call
        duration = self._duration_indexes.get(key)
        if duration is None:
            duration = self._layout.index_of(metrics.DURATION, alias, vendor, statement.operation)
            self._duration_indexes[key] = duration
        cells = self._cells()  # not kept since the begin: another thread may close a generator
        cells[duration + bisect_left(_BUCKETS, seconds)] += 1.0
        cells[duration + _TO_SUM] += seconds
        if error is not None and not isinstance(error, GeneratorExit):
            sqlstate: Any = getattr(error, "sqlstate", None)
            cells[self.error_index(alias, vendor, type(error), sqlstate)] += 1.0

    def rows_seen(self, alias: str, returned: int, affected: int) -> None:
        """Count the rows."""
        index = self._rows_indexes.get(alias)
        if index is None:
            index = self._rows_indexes[alias] = self._layout.index_of(metrics.ROWS, alias, "returned")
        cells = self._cells()
        if returned:
            cells[index] += returned
        if affected:
            cells[index + 1] += affected

    def error_index(self, alias: str, vendor: str, error: type[BaseException], sqlstate: str | None) -> int:
        """Return the index of the cell that counts errors of this class and SQLSTATE."""
        name = next((cls.__name__ for cls in error.__mro__ if cls.__name__ in metrics.SQLSTATE_CLASSES), OTHER)
        state = sqlstate[:2] if sqlstate else metrics.NO_SQLSTATE
        known = (*metrics.SQLSTATE_CLASSES[name], metrics.NO_SQLSTATE)
        return self._layout.index_of(metrics.ERRORS, alias, vendor, name, state if state in known else OTHER)
