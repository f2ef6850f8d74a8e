"""One server, asked again and again by a thread of its own over a connection of its own, however long it hangs."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import connections
from django.db.utils import load_backend

from switchyard.positions import Dialect, dialect_of
from switchyard.routing.topology.replication import Sample

ROUND = 0.25  # seconds from one question to the next
DEADLINE = 0.5  # seconds for an answer

# What ends a connection that hangs. A server that is stopped holds its thread; the deadline judges it all the same.
_DEADLINES: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": 2,
        "tcp_user_timeout": 2000,
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "application_name": "switchyard probe",
    },
    "mysql": {"connect_timeout": 2, "read_timeout": 2, "write_timeout": 2},
}


class Asker(threading.Thread):
    """Asks one server in every round. It may hang; who judges its answers does not."""

    def __init__(self, alias: str, *, after: Callable[[Any], str] = lambda _cursor: "") -> None:
        super().__init__(name=f"switchyard-asks-{alias}", daemon=True)
        self.alias = alias
        self.vendor = connections[alias].vendor
        self.sample: Sample | None = None  # the newest answer
        self.fault = ""  # why the last question had no answer, or what `after` found
        self._after = after
        self._asked_at: float | None = None
        self._doubted = False
        self._ended = threading.Event()
        self._connection: Any = None
        self._dialect: Dialect

    def run(self) -> None:
        while not self._ended.is_set():
            begun = time.monotonic()
            self.ask()
            self._ended.wait(max(ROUND - (time.monotonic() - begun), ROUND / 5))
        self._close()

    def end(self) -> None:
        """Let the thread end after its round."""
        self._ended.set()

    def ask(self) -> None:
        """Ask once and keep the answer."""
        self._asked_at = begun = time.monotonic()
        if self._doubted:
            self._doubted = False
            self._close()
        try:
            if self._connection is None:
                self._connection = own_connection(self.alias, self.vendor)
                self._dialect = dialect_of(self.vendor, self._connection)
            cursor = self._connection.cursor()
            answer = self._dialect.ask(cursor)
            fault = self._after(cursor)
            cursor.close()
            # In this order: who judges meanwhile must not take the answer before the fault for a new one.
            self.sample = Sample(begun, answer)
            self.fault = fault
        except Exception as error:  # noqa: BLE001 - drivers raise what they like, and each means that it cannot be read
            self.fault = f"{type(error).__name__} when asked"
            self._close()
        self._asked_at = None

    def overdue(self, now: float) -> float:
        """Return how many seconds ago the question under way was asked; 0 when none is."""
        asked = self._asked_at
        return 0.0 if asked is None else now - asked

    def doubt(self) -> None:
        """Ask the next question over a new connection, which may lead elsewhere."""
        self._doubted = True

    def drop(self) -> None:
        """Forget the server and the connection to it: the next question may reach another one."""
        self.sample = None
        self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is broken, that is why it is closed
                connection.close()


def own_connection(alias: str, vendor: str) -> Any:
    """Return a new driver connection: no pool's, no thread's, and known to no wrapper that judges or counts."""
    settings = connections.settings[alias]
    options = {**settings["OPTIONS"], **_DEADLINES[vendor]}
    options.pop("pool", None)
    wrapper = load_backend(settings["ENGINE"]).DatabaseWrapper({**settings, "OPTIONS": options}, alias)
    connection = wrapper.get_new_connection(wrapper.get_connection_params())
    # Each question for itself: a transaction would stay open between two.
    if vendor == "mysql":
        connection.autocommit(True)
    else:
        connection.autocommit = True
    return connection
