"""A real replica that is told to lag, over a connection of its own with the credentials of its alias."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from math import ceil
from typing import Any, NamedTuple

from django.db import connections

from switchyard.positions import Dialect, dialect_for, mariadb, mysql, postgresql
from switchyard.routing.monitor.probes.probe import open_probe_connection
from switchyard.routing.topology.replication import Replica, replication_set

_TIMEOUT_SECONDS = 60.0  # for a replica to follow a command, and to replay everything
# The errors of a server for a user without the privilege: of PostgreSQL, and of MySQL and MariaDB.
_DENIED_SQLSTATE, _DENIED_ERRNOS = "42501", frozenset({1044, 1045, 1142, 1227})


class ReplayCommands(NamedTuple):
    """The statements that control the replay of one vendor's replica; `delay` is a template of `{ms}` and `{s}`."""

    pause: tuple[str, ...]
    resume: tuple[str, ...]
    delay: tuple[str, ...]
    no_delay: tuple[str, ...]
    privilege: str  # what the user of the alias needs


_RELOAD = "SELECT pg_reload_conf()"
_COMMANDS: dict[Dialect, ReplayCommands] = {
    postgresql: ReplayCommands(
        pause=("SELECT pg_wal_replay_pause()",),
        resume=("SELECT pg_wal_replay_resume()",),
        delay=("ALTER SYSTEM SET recovery_min_apply_delay = '{ms}ms'", _RELOAD),
        no_delay=("ALTER SYSTEM RESET recovery_min_apply_delay", _RELOAD),
        privilege="EXECUTE on pg_wal_replay_pause(), pg_wal_replay_resume() and pg_reload_conf(), and ALTER SYSTEM on"
        " PARAMETER recovery_min_apply_delay (granted on the primary)",
    ),
    mysql: ReplayCommands(
        pause=("STOP REPLICA SQL_THREAD",),
        resume=("START REPLICA SQL_THREAD",),
        delay=(
            "STOP REPLICA SQL_THREAD",
            "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {s}",
            "START REPLICA SQL_THREAD",
        ),
        no_delay=(
            "STOP REPLICA SQL_THREAD",
            "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 0",
            "START REPLICA SQL_THREAD",
        ),
        privilege="REPLICATION_SLAVE_ADMIN ON *.* (granted on the replica, or on its source)",
    ),
    mariadb: ReplayCommands(
        pause=("STOP SLAVE SQL_THREAD",),
        resume=("START SLAVE SQL_THREAD",),
        delay=("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = {s}", "START SLAVE"),  # a running replica refuses CHANGE
        no_delay=("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = 0", "START SLAVE"),
        privilege="REPLICATION SLAVE ADMIN ON *.* (granted on the replica, or on its primary)",
    ),
}


class Standby:
    """One replica and its replay."""

    def __init__(self, alias: str, owner: str) -> None:
        self._alias = alias
        self._owner = owner
        self._is_delayed = self._lags = False

    def pause(self) -> None:
        """Pause the replay; return when the replay has stopped."""
        with _cursor(self._alias) as (cursor, dialect):
            self._execute(cursor, _COMMANDS[dialect].pause, dialect)
            self._lags = True
            if dialect is postgresql:
                _wait_until(lambda: _is_true(cursor, "SELECT pg_get_wal_replay_pause_state() = 'paused'"), self._alias)

    def delay(self, seconds: float) -> None:
        """Replay each commit so many seconds after its time."""
        with _cursor(self._alias) as (cursor, dialect):
            if dialect is not postgresql and seconds != ceil(seconds):
                raise ValueError(f"The server of '{self._alias}' can be delayed by whole seconds, not by {seconds}.")
            units = {"ms": round(seconds * 1000), "s": round(seconds)}
            self._execute(cursor, (command.format(**units) for command in _COMMANDS[dialect].delay), dialect)
            self._is_delayed = self._lags = True

    def catch_up(self) -> None:
        """Replay everything; return when the snapshot of this process shows it."""
        with _cursor(self._owner) as (cursor, dialect):
            written = dialect.current_position(cursor)
        with _cursor(self._alias) as (cursor, dialect):
            self._execute(cursor, _COMMANDS[dialect].resume, dialect)
            if self._is_delayed:
                self._execute(cursor, _COMMANDS[dialect].no_delay, dialect)
        self._is_delayed = self._lags = False
        _wait_until(lambda: any(each.caught_up_to(written) for each in self._eligible()), self._alias)

    def restore(self) -> None:
        """Let the replica catch up if it lags."""
        if self._lags:
            self.catch_up()

    def _eligible(self) -> Iterator[Replica]:
        return (each for each in replication_set(self._owner).snapshot.eligible if each.alias == self._alias)

    def _execute(self, cursor: Any, commands: Iterable[str], dialect: Dialect) -> None:
        try:
            for command in commands:
                cursor.execute(command)
        except Exception as error:
            errno = error.args[0] if error.args else None
            if getattr(error, "sqlstate", "") != _DENIED_SQLSTATE and errno not in _DENIED_ERRNOS:
                raise
            user = connections.settings[self._alias]["USER"]
            privilege = _COMMANDS[dialect].privilege
            raise PermissionError(f"'{self._alias}' cannot lag: its user '{user}' lacks {privilege}.") from error


@contextmanager
def _cursor(alias: str) -> Iterator[tuple[Any, Dialect]]:
    vendor = connections[alias].vendor
    with closing(open_probe_connection(alias, vendor)) as connection, closing(connection.cursor()) as cursor:
        yield cursor, dialect_for(vendor, connection)


def _is_true(cursor: Any, query: str) -> bool:
    cursor.execute(query)
    return bool(cursor.fetchone()[0])


def _wait_until(condition: Callable[[], bool], alias: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"'{alias}' did not pause or catch up within {_TIMEOUT_SECONDS:.0f} seconds. `manage.py replicas` shows"
                " the state of its server."
            )
        time.sleep(0.02)
