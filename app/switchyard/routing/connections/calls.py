"""One call into a driver: the session learns whether it wrote, observers learn all about it.

Observed from the moment a connection is set up. Not observed: Django's connection set-up and health checks, and queries
sent on the raw driver connection (`connection.connection.cursor()`), unless in the block of a `DriverCall`.
"""

from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol, Self
from weakref import WeakSet

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from switchyard.routing.connections import events
from switchyard.routing.connections.cursors import Comment, reporting_cursor, rows_of
from switchyard.routing.connections.doubts import defer, settle_alias
from switchyard.routing.guards.guard import check_unwrapped_call
from switchyard.routing.monitor import monitor
from switchyard.routing.monitor.probes.volatile_functions import may_write
from switchyard.routing.monitor.waits import Waits, waits_for
from switchyard.routing.session.tracking import record_read, record_write
from switchyard.sql import Statement, statement_text, statements_of

SLOW_CALL_SECONDS = 0.1  # a call that takes as long stands out

_exempt: WeakSet[BaseDatabaseWrapper] = WeakSet()


class CallObserver:
    """Somebody who is told of calls into drivers: a subclass has those of these methods that it needs."""

    def call_began(self, alias: str, vendor: str, statement: Statement) -> None:
        """Take note of a call before the driver runs it: a process may be killed inside the call."""

    def call_ended(
        self, alias: str, vendor: str, statement: Statement, seconds: float, error: BaseException | None
    ) -> None:
        """Take note of the end of a call; `error` is the exception of the driver, None without one."""

    def rows_seen(self, alias: str, returned: int, affected: int) -> None:
        """Take note of rows that a server returned to the program, or that a write affected."""


class _Observers:
    """All observers, and their methods: a call loses no time with those that an observer does not need."""

    def __init__(self, observers: tuple[CallObserver, ...]) -> None:
        self.all = observers
        self.call_began = tuple(each.call_began for each in observers if _needs(each, "call_began"))
        self.call_ended = tuple(each.call_ended for each in observers if _needs(each, "call_ended"))
        self.rows_seen = tuple(each.rows_seen for each in observers if _needs(each, "rows_seen"))


def _needs(observer: CallObserver, method: str) -> bool:
    return getattr(type(observer), method) is not getattr(CallObserver, method)


_observers = _Observers(())


class Annotation(Protocol):
    """What one call has beside its statement: a comment, a span of a trace."""

    @property
    def comment(self) -> Comment | None:
        """The function that adds the comment to the statement, None without a comment."""
        ...

    def end(self, error: BaseException | None) -> None:
        """Take note of the end of the call, as `CallObserver.call_ended()`."""
        ...


# Takes the alias, the vendor, the statement and its text.
type Annotate = Callable[[str, str, Statement, str], Annotation]

_annotate: Annotate | None = None


def annotate_with(annotate: Annotate | None) -> None:
    """Make an annotation for each call from now on; None: for no call."""
    global _annotate  # noqa: PLW0603 - one function for the process
    _annotate = annotate


def add_observer(observer: CallObserver) -> None:
    """Tell the observer of each call from now on."""
    global _observers  # noqa: PLW0603 - replaced as a whole, because other threads iterate over it
    _observers = _Observers((*_observers.all, observer))


def remove_observer(observer: CallObserver) -> None:
    """Tell the observer of no more calls."""
    global _observers  # noqa: PLW0603 - as above
    _observers = _Observers(tuple(each for each in _observers.all if each is not observer))


def install() -> None:
    """Observe the calls of every connection that is opened from now on. A second call changes nothing."""
    connection_created.connect(_attach, dispatch_uid="switchyard.routing.connections.calls")


def exempt(connection: BaseDatabaseWrapper) -> None:
    """Leave the calls of this connection unobserved, as health checks are. Call it before the connection opens."""
    _exempt.add(connection)


class Call:
    """A call into the driver that has begun."""

    __slots__ = ("_annotation", "_began_at", "_statement", "_text", "_vendor", "_waits", "comment")
    is_of_session = True

    def __init__(
        self,
        waits: Waits,
        vendor: str,
        statement: Statement,
        text: str,
        cursor: Any,
        *,
        annotation: Annotation | None = None,
    ) -> None:
        self.comment = None if annotation is None else annotation.comment
        self._annotation = annotation
        self._waits = waits
        self._vendor = vendor
        self._statement = statement
        self._text = text
        if statement.ends_transaction:
            settle_alias(waits.alias)
        for call_began in _observers.call_began:
            call_began(waits.alias, vendor, statement)
        waits.running[self] = cursor
        self._began_at = perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end(error)

    def end(self, error: BaseException | None) -> None:  # noqa: C901 - another function would slow each call
        """Take note of the end of the call; `error` is the exception of the driver, None without one."""
        seconds = perf_counter() - self._began_at
        if self._annotation is not None:
            self._annotation.end(error)
        waits, statement = self._waits, self._statement
        cursor = waits.running.pop(self, None)
        waits.answered += error is None
        alias = waits.alias
        for call_ended in _observers.call_ended:
            call_ended(alias, self._vendor, statement, seconds, error)
        if seconds >= SLOW_CALL_SECONDS or error is not None:
            events.call_stood_out.send(
                sender=Call, alias=alias, vendor=self._vendor, sql=self._text, seconds=seconds, error=error
            )
        if error is None and cursor is not None:
            returned, affected = rows_of(cursor, statement.operation)
            if returned or affected:
                for rows_seen in _observers.rows_seen:
                    rows_seen(alias, returned, affected)
        if not self.is_of_session:
            return
        # After a failed call, too: a commit whose answer was lost is a commit.
        if may_write(statement, alias):
            if statement.changes or not defer(alias, statement):
                record_write(alias, statement, failed=error is not None)
        elif error is None and record_read(alias):
            monitor.ensure_running()


class DriverCall(Call):
    """A call on the driver's own connection for no row of an owner, such as one for a temporary table.

    Observers are told of it. The session is not: no later read waits for its position.
    """

    __slots__ = ()
    is_of_session = False


class _Cursors:
    """Makes the cursors of one connection, in the place of its `create_cursor`."""

    # By alias one class for each driver's cursor, however many threads open connections.
    _by_alias: defaultdict[str, dict[type, type]] = defaultdict(dict)  # noqa: RUF012 - shared on purpose

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._create = connection.create_cursor
        self._classes = self._by_alias[connection.alias]
        self.observed: Any = None  # the driver's connection; a new one is being set up while they differ

    def __call__(self, name: str | None = None) -> Any:
        cursor = self._create(name)
        if self._connection.connection is self.observed:
            driver_cursor = type(cursor)
            cursor.__class__ = self._classes.get(driver_cursor) or self._new_class(driver_cursor)
        return cursor

    def _new_class(self, driver_cursor: type) -> type:
        alias, vendor = self._connection.alias, self._connection.vendor
        waits, statements = waits_for(alias), statements_of(vendor)

        def begin(query: Any, cursor: Any) -> Call:
            text = query if type(query) is str else statement_text(query, cursor)
            statement = statements[text]
            annotation = _annotate and _annotate(alias, vendor, statement, text)
            return Call(waits, vendor, statement, text, cursor, annotation=annotation)

        def begin_unwrapped(query: Any, cursor: Any) -> Call:
            text = statement_text(query, cursor)
            check_unwrapped_call(alias, statements[text], text)
            return begin(text, cursor)

        def fetched(rows: int) -> None:
            if rows:
                for rows_seen in _observers.rows_seen:
                    rows_seen(alias, rows, 0)

        made = self._classes[driver_cursor] = reporting_cursor(driver_cursor, begin, begin_unwrapped, fetched, vendor)
        return made


def _attach(*, connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    """Observe the connection, just set up; once, however often it reconnects."""
    if connection in _exempt:
        return
    cursors = vars(connection).get("_switchyard_cursors")
    if cursors is None:
        cursors = vars(connection)["_switchyard_cursors"] = _Cursors(connection)
        connection.create_cursor = cursors  # type: ignore[method-assign]
    cursors.observed = connection.connection
