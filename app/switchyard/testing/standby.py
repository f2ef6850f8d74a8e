"""A real replica that is told to lag, over a connection of its own with its alias' credentials."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from math import ceil
from typing import Any, NamedTuple

from django.db import connections

from switchyard.positions import Dialect, dialect_for, mariadb, mysql, postgresql
from switchyard.routing.monitor.probe import open_probe_connection
from switchyard.routing.topology.replication import Replica, replication_set

_DEADLINE = 60.0  # seconds for all that was written to be replayed
# What servers say to a user who may not: PostgreSQL's state, MySQL's and MariaDB's numbers.
_STATE, _ERRNOS = "42501", frozenset({1044, 1045, 1142, 1227})


class Orders(NamedTuple):
    """What one vendor's replica is told; `delay` is formatted with `{ms}` and `{s}`."""

    pause: tuple[str, ...]
    resume: tuple[str, ...]
    delay: tuple[str, ...]
    at_once: tuple[str, ...]
    right: str  # what the user of the alias needs


_RELOAD = "SELECT pg_reload_conf()"
_ORDERS: dict[Dialect, Orders] = {
    postgresql: Orders(
        pause=("SELECT pg_wal_replay_pause()",),
        resume=("SELECT pg_wal_replay_resume()",),
        delay=("ALTER SYSTEM SET recovery_min_apply_delay = '{ms}ms'", _RELOAD),
        at_once=("ALTER SYSTEM RESET recovery_min_apply_delay", _RELOAD),
        right="EXECUTE on pg_wal_replay_pause(), pg_wal_replay_resume() and pg_reload_conf(), and ALTER SYSTEM on"
        " PARAMETER recovery_min_apply_delay (granted on the primary)",
    ),
    mysql: Orders(
        pause=("STOP REPLICA SQL_THREAD",),
        resume=("START REPLICA SQL_THREAD",),
        delay=(
            "STOP REPLICA SQL_THREAD",
            "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {s}",
            "START REPLICA SQL_THREAD",
        ),
        at_once=(
            "STOP REPLICA SQL_THREAD",
            "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 0",
            "START REPLICA SQL_THREAD",
        ),
        right="REPLICATION_SLAVE_ADMIN ON *.* (granted on the replica, or on its source)",
    ),
    mariadb: Orders(
        pause=("STOP SLAVE SQL_THREAD",),
        resume=("START SLAVE SQL_THREAD",),
        delay=("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = {s}", "START SLAVE"),  # it changes nothing while it runs
        at_once=("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = 0", "START SLAVE"),
        right="REPLICATION SLAVE ADMIN ON *.* (granted on the replica, or on its primary)",
    ),
}


class Standby:
    """One replica."""

    def __init__(self, alias: str, owner: str) -> None:
        self._alias = alias
        self._owner = owner
        self._is_delayed = self._lags = False

    def pause(self) -> None:
        """Stop replay, and return when it stands."""
        with _asking(self._alias) as (cursor, dialect):
            self._tell(cursor, _ORDERS[dialect].pause, dialect)
            self._lags = True
            if dialect is postgresql:
                _until(lambda: _says(cursor, "SELECT pg_get_wal_replay_pause_state() = 'paused'"), self._alias)

    def delay(self, seconds: float) -> None:
        """Replay each commit that much after its time."""
        with _asking(self._alias) as (cursor, dialect):
            if dialect is not postgresql and seconds != ceil(seconds):
                raise ValueError(f"The server of '{self._alias}' can be delayed by whole seconds, not by {seconds}.")
            given = {"ms": round(seconds * 1000), "s": round(seconds)}
            self._tell(cursor, (order.format(**given) for order in _ORDERS[dialect].delay), dialect)
            self._is_delayed = self._lags = True

    def catch_up(self) -> None:
        """Replay everything, and return when the reads of this process know it."""
        with _asking(self._owner) as (cursor, dialect):
            written = dialect.current_position(cursor)
        with _asking(self._alias) as (cursor, dialect):
            self._tell(cursor, _ORDERS[dialect].resume, dialect)
            if self._is_delayed:
                self._tell(cursor, _ORDERS[dialect].at_once, dialect)
        self._is_delayed = self._lags = False
        _until(lambda: any(each.caught_up_to(written) for each in self._known()), self._alias)

    def restore(self) -> None:
        """Let it catch up if it still lags."""
        if self._lags:
            self.catch_up()

    def _known(self) -> Iterator[Replica]:
        return (each for each in replication_set(self._owner).snapshot.eligible if each.alias == self._alias)

    def _tell(self, cursor: Any, orders: Iterable[str], dialect: Dialect) -> None:
        try:
            for order in orders:
                cursor.execute(order)
        except Exception as error:
            if getattr(error, "sqlstate", "") != _STATE and error.args[:1] not in {(number,) for number in _ERRNOS}:
                raise
            user = connections.settings[self._alias]["USER"]
            right = _ORDERS[dialect].right
            raise PermissionError(f"'{self._alias}' cannot be made to lag: its user '{user}' lacks {right}.") from error


@contextmanager
def _asking(alias: str) -> Iterator[tuple[Any, Dialect]]:
    vendor = connections[alias].vendor
    with closing(open_probe_connection(alias, vendor)) as connection, closing(connection.cursor()) as cursor:
        yield cursor, dialect_for(vendor, connection)


def _says(cursor: Any, question: str) -> bool:
    cursor.execute(question)
    return bool(cursor.fetchone()[0])


def _until(true: Callable[[], bool], alias: str) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"'{alias}' did not do in {_DEADLINE:.0f} seconds what it was told.")
        time.sleep(0.02)
