"""Count each call into a driver: its number, its seconds and its errors."""

from bisect import bisect_left
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from switchyard.conf import conf
from switchyard.routing.connections import calls
from switchyard.routing.topology.tables import app_of
from switchyard.sql import Statement
from switchyard.telemetry import counters, families
from switchyard.telemetry.counters import Counters
from switchyard.telemetry.layout import OTHER

_installed: list[calls.CallObserver] = []


def install() -> None:
    """Open the counters, and count every call from now on. A second call changes nothing.

    Django calls `ready()` again where INSTALLED_APPS is overridden, as tests do.
    """
    try:
        opened = counters.start(families.layout(), conf.metrics_dir)
    except OSError as error:
        raise ImproperlyConfigured(
            f"SWITCHYARD['METRICS_DIR'] = {conf.metrics_dir!r} cannot be used: {error.strerror}."
            " Name a directory that this user may write, or leave it out to count in each process alone."
        ) from error
    while _installed:
        calls.remove_observer(_installed.pop())
    _installed.append(CallCounter(opened))
    calls.add_observer(_installed[0])


class CallCounter:
    """Counts calls: at their begin, so that a killed process has counted them; seconds and errors at their end."""

    def __init__(self, to: Counters) -> None:
        self._cells = to.cells
        self._layout = to.layout
        self._columns: dict[tuple[str, str, str], tuple[int, int]] = {}

    def call_began(self, alias: str, vendor: str, statement: Statement) -> None:
        """Count the call."""
        queries, _ = self._columns_of(alias, vendor, statement)
        self._cells()[queries] += 1.0

    def call_ended(
        self, alias: str, vendor: str, statement: Statement, seconds: float, error: BaseException | None
    ) -> None:
        """Count the seconds of the call, and its error. A closed generator has none."""
        _, duration = self._columns_of(alias, vendor, statement)
        cells = self._cells()  # not kept from the beginning: another thread may close a generator
        cells[duration + bisect_left(families.BUCKETS, seconds)] += 1.0
        cells[duration + len(families.BUCKETS) + 1] += seconds
        if error is not None and not isinstance(error, GeneratorExit):
            sqlstate: Any = getattr(error, "sqlstate", None)
            cells[self.error_column(alias, vendor, type(error), sqlstate)] += 1.0

    def error_column(self, alias: str, vendor: str, error: type[BaseException], sqlstate: str | None) -> int:
        """Return the column that counts errors of this class and state."""
        name = next((cls.__name__ for cls in error.__mro__ if cls.__name__ in families.SQLSTATE_CLASSES), OTHER)
        state = sqlstate[:2] if sqlstate else families.NO_SQLSTATE
        known = (*families.SQLSTATE_CLASSES[name], families.NO_SQLSTATE)
        labels = name, state if state in known else OTHER
        return self._layout.column(families.ERRORS, (alias, vendor), labels)

    def _columns_of(self, alias: str, vendor: str, statement: Statement) -> tuple[int, int]:
        app = app_of(statement)
        key = alias, statement.operation, app
        columns = self._columns.get(key)
        if columns is None:
            columns = self._columns[key] = (
                self._layout.column(families.QUERIES, alias, statement.operation, app),
                self._layout.column(families.DURATION, (alias, vendor), statement.operation),
            )
        return columns
