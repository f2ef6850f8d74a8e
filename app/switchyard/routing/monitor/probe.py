"""One server, asked again and again by a thread of its own over a connection of its own, however long it hangs."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import connections
from django.db.utils import load_backend

from switchyard.positions import Dialect, dialect_for
from switchyard.routing.topology.replication import Sample

PROBE_INTERVAL_SECONDS = 0.25  # seconds from one question to the next
PROBE_TIMEOUT_SECONDS = 0.5  # seconds for an answer

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


class ServerProbe(threading.Thread):
    """Asks one server in every round. It may hang; who judges its answers does not."""

    def __init__(self, alias: str, *, extra_check: Callable[[Any], str] = lambda _cursor: "") -> None:
        super().__init__(name=f"switchyard-asks-{alias}", daemon=True)
        self.alias = alias
        self.vendor = connections[alias].vendor
        self.last_sample: Sample | None = None  # the newest answer
        self.error = ""  # why the last question had no answer, or what `after` found
        self._after = extra_check
        self._began_at: float | None = None
        self._reconnects = False
        self._stopped = threading.Event()
        self._connection: Any = None
        self._dialect: Dialect

    def run(self) -> None:
        while not self._stopped.is_set():
            begun = time.monotonic()
            self.probe()
            self._stopped.wait(max(PROBE_INTERVAL_SECONDS - (time.monotonic() - begun), PROBE_INTERVAL_SECONDS / 5))
        self._close()

    def stop(self) -> None:
        """Let the thread end after its round."""
        self._stopped.set()

    def probe(self) -> None:
        """Ask once and keep the answer."""
        self._began_at = begun = time.monotonic()
        if self._reconnects:
            self._reconnects = False
            self._close()
        try:
            if self._connection is None:
                self._connection = open_probe_connection(self.alias, self.vendor)
                self._dialect = dialect_for(self.vendor, self._connection)
            cursor = self._connection.cursor()
            answer = self._dialect.status(cursor)
            fault = self._after(cursor)
            cursor.close()
            # In this order: who judges meanwhile must not take the answer before the fault for a new one.
            self.last_sample = Sample(begun, answer)
            self.error = fault
        except Exception as error:  # noqa: BLE001 - drivers raise what they like, and each means that it cannot be read
            self.error = f"{type(error).__name__} when asked"
            self._close()
        self._began_at = None

    def pending_seconds(self, now: float) -> float:
        """Return how many seconds ago the question under way was asked; 0 when none is."""
        asked = self._began_at
        return 0.0 if asked is None else now - asked

    def reconnect(self) -> None:
        """Ask the next question over a new connection, which may lead elsewhere."""
        self._reconnects = True

    def reset(self) -> None:
        """Forget the server and the connection to it: the next question may reach another one."""
        self.last_sample = None
        self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is broken, that is why it is closed
                connection.close()


def open_probe_connection(alias: str, vendor: str) -> Any:
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
