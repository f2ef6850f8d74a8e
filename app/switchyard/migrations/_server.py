"""The server of `migrate`: the wait for its start, and connections without a time limit for statements."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.migrations._exit_codes import MYSQL_UNREACHABLE
from switchyard.migrations._stopping import pause
from switchyard.routing.topology.direct import other_settings

_MAX_PAUSE_SECONDS = 5.0


def wait_for_server(connection: BaseDatabaseWrapper, *, seconds: float, report: Callable[[str], None]) -> None:
    """Connect; try again for up to `seconds` while no server answers. `report` takes a line before each wait.

    Raises OperationalError after that time, and at once for an error that a wait does not end (a wrong password);
    StoppedError after SIGTERM.
    """
    deadline = time.monotonic() + seconds
    wait_seconds = 0.25
    while True:
        try:
            return connection.ensure_connection()
        except OperationalError as error:
            if not _is_unreachable(connection.vendor, error) or time.monotonic() + wait_seconds > deadline:
                raise
            reason = in_one_line(error)
        report(f"Waiting for the server of '{connection.alias}': {reason}")
        pause(wait_seconds)
        wait_seconds = min(2 * wait_seconds, _MAX_PAUSE_SECONDS)


def in_one_line(error: Exception) -> str:
    """Return the message of the error. libpq gives each address a line, and PostgreSQL the statement."""
    return " ".join(str(error).split())


def _is_unreachable(vendor: str, error: OperationalError) -> bool:
    """Return True if the server may not have started yet. A server that asked for a password has started."""
    if vendor == "mysql":
        return bool(error.args) and error.args[0] in MYSQL_UNREACHABLE
    attempt = getattr(error.__cause__, "pgconn", None)  # psycopg keeps the failed attempt; a pool does not
    return vendor == "postgresql" and not (attempt and (attempt.used_password or attempt.needs_password))


@contextmanager
def without_time_limits(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Remove the time limit of statements on this connection. The time limit of lock waits stays.

    An open connection is closed before and after the block.
    """
    if connection.vendor not in _UNLIMITED:
        yield
        return
    limited = connection.settings_dict
    unlimited = {**limited, "OPTIONS": _UNLIMITED[connection.vendor](limited["OPTIONS"])}
    with other_settings(connection, unlimited):
        yield


def _without_statement_timeout(options: dict[str, Any]) -> dict[str, Any]:
    unlimited = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0"
    return {**options, "options": f"{options.get('options', '')} {unlimited}".strip()}


def _without_read_timeout(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "read_timeout"}


_UNLIMITED = {
    "postgresql": _without_statement_timeout,
    "mysql": _without_read_timeout,
}
