"""Count what goes through Django's connections: the hook between Django and the drivers.

Counted from the moment a connection is set up: what Django itself sends to set it up or to see whether it still lives
is not, no more than what goes round Django's cursors (`connection.connection.cursor()`).
"""

from typing import Any
from weakref import WeakSet

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from switchyard.conf import conf
from switchyard.telemetry import counters, families
from switchyard.telemetry.cursors import counted
from switchyard.telemetry.recorder import Recorder

_exempt: WeakSet[BaseDatabaseWrapper] = WeakSet()


def install() -> None:
    """Open the counters, and count on every connection that is opened from now on.

    A second call changes nothing: Django calls `ready()` again where INSTALLED_APPS is overridden, as tests do.
    """
    try:
        hook = Hook(counters.start(families.layout(), conf.metrics_dir))
    except OSError as error:
        raise ImproperlyConfigured(
            f"SWITCHYARD['METRICS_DIR'] = {conf.metrics_dir!r} cannot be used: {error.strerror}."
            " Name a directory that this user may write, or leave it out to count in each process alone."
        ) from error
    connection_created.connect(hook.attach, weak=False, dispatch_uid="switchyard.telemetry.queries")


def exempt(connection: BaseDatabaseWrapper) -> None:
    """Leave out what this connection does: health checks ask on their own account. Call it before it connects."""
    _exempt.add(connection)


class Hook:
    """Brings connections and counters together."""

    def __init__(self, to: counters.Counters) -> None:
        self._counters = to
        # One class for each driver's cursor and alias, however many threads open connections.
        self._classes: dict[tuple[type, str], type] = {}

    def attach(self, connection: BaseDatabaseWrapper, **_signal: Any) -> None:
        """Count from now on what this connection, just set up, does; once, however often it reconnects."""
        if connection in _exempt:
            return
        cursors = vars(connection).get("_switchyard_cursors")
        if cursors is None:
            cursors = vars(connection)["_switchyard_cursors"] = CountedCursors(connection, self)
            connection.create_cursor = cursors  # type: ignore[method-assign]
        cursors.counted_connection = connection.connection

    def cursor_class(self, driver_cursor: type, connection: BaseDatabaseWrapper) -> type:
        """Return the class that counts what such a cursor does on this alias."""
        key = driver_cursor, connection.alias
        if key not in self._classes:
            recorder = Recorder(self._counters, connection.alias, connection.vendor)
            self._classes[key] = counted(driver_cursor, recorder, connection.vendor)
        return self._classes[key]


class CountedCursors:
    """Makes the cursors of one Django connection, in the place of its `create_cursor`."""

    def __init__(self, connection: BaseDatabaseWrapper, hook: Hook) -> None:
        self._connection = connection
        self._create = connection.create_cursor
        self._hook = hook
        self.counted_connection: Any = None  # the driver's own; a new one is being set up while they differ

    def __call__(self, name: str | None = None) -> Any:
        cursor = self._create(name)
        if self._connection.connection is self.counted_connection:
            cursor.__class__ = self._hook.cursor_class(type(cursor), self._connection)
        return cursor
