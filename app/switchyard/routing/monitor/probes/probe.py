"""Probe one server: a thread of its own asks for the status, again and again, over a connection of its own.

The thread may hang as long as its server does. watch.py evaluates the samples, and never waits for this thread.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from django.db import connections
from django.db.utils import load_backend

from switchyard.positions import Dialect, ServerStatus, dialect_for
from switchyard.routing.topology.direct import direct_settings
from switchyard.routing.topology.replication import Sample

PROBE_INTERVAL_SECONDS = 0.25  # from the start of a probe to the start of the next
PROBE_TIMEOUT_SECONDS = 0.5  # a probe that takes longer marks its server as down

# PostgreSQL's SQLSTATE of a session that an orderly shutdown ends, and the message to new connections, for which libpq
# has no SQLSTATE. A server may translate the message. https://www.postgresql.org/docs/18/errcodes-appendix.html
_ADMIN_SHUTDOWN = "57P01"
_SHUTTING_DOWN = "the database system is shutting down"

# Options that end a connection that hangs. A stopped server can hold the thread for longer than PROBE_TIMEOUT_SECONDS.
_DRIVER_TIMEOUTS: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": 2,  # libpq takes nothing shorter
        # A connection to an address that leads nowhere ends after this time, too. So a probe finds the next server
        # behind the address a second sooner.
        "tcp_user_timeout": 1000,
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "application_name": "switchyard probe",
    },
    "mysql": {"connect_timeout": 2, "read_timeout": 2, "write_timeout": 2},
}


class ProbeState(NamedTuple):
    """What an evaluation needs to know of a probe."""

    began_at: float | None  # of the running probe
    forgiven_at: float  # the running probe counts from here
    sample: Sample | None
    error: str
    seconds: float | None  # of the last answer
    server_version: str  # empty before the first connection
    shut_down: bool = False


class ServerProbe(threading.Thread):
    """A thread that probes the server of one alias, once in each interval, over one connection.

    `ask` returns the status by the cursor of a probe; by default it is the query of the vendor's dialect. `extra_check`
    gets the same cursor, and returns a reason why the server must not be read, or an empty text. A probe passes a
    pooler by, except with `through_pooler`.

    The thread need not start, and may pause: `take()` gives the probe the state of a probe in another process.
    """

    def __init__(
        self,
        alias: str,
        *,
        ask: Callable[[Any], ServerStatus] | None = None,
        extra_check: Callable[[Any], str] = lambda _cursor: "",
        through_pooler: bool = False,
    ) -> None:
        super().__init__(name=f"switchyard-probe-{alias}", daemon=True)
        self.alias = alias
        self._through_pooler = through_pooler
        self.vendor = connections[alias].vendor
        self.last_sample: Sample | None = None  # the newest; None before the first
        self.seconds: float | None = None  # of the last answer
        self.server_version = ""  # empty before the first connection
        self.error = ""  # of the last probe, or the reason of `extra_check`; empty without an error
        self.shut_down = False  # the server said that it shuts down, and has not answered since
        self._ask = ask
        self._extra_check = extra_check
        self._began_at: float | None = None  # of the running probe
        self._forgiven_at = 0.0  # time.monotonic(): the running probe counts from here
        self._reconnects = False
        self._stopped = threading.Event()
        self._runs = threading.Event()  # not set: paused
        self._connection: Any = None
        self._dialect: Dialect

    def start(self) -> None:
        """Probe from now on, also after `pause()`."""
        self._runs.set()
        if self.ident is None:
            super().start()

    def run(self) -> None:
        """Probe until `stop()`, and close the connection."""
        while not self._stopped.is_set():
            if not self._runs.is_set():
                self._close()
                self._runs.wait()
                continue
            began_at = time.monotonic()
            self.probe()
            remaining_seconds = PROBE_INTERVAL_SECONDS - (time.monotonic() - began_at)
            self._stopped.wait(max(remaining_seconds, PROBE_INTERVAL_SECONDS / 5))
        self._close()

    def pause(self) -> None:
        """Let the thread close its connection after the running probe, and wait for `start()` or `stop()`."""
        self._runs.clear()

    def stop(self) -> None:
        """Let the thread end after the running probe."""
        self._stopped.set()
        self._runs.set()

    def probe(self) -> None:
        """Ask the server once for its status, and keep the sample or the error.

        A connection that was used before may have been closed by anybody, which is no fault of the server. So the probe
        asks once more, over a new connection.
        """
        self._began_at = began_at = time.monotonic()
        if self._reconnects:
            self._reconnects = False
            self._close()
        if self._connection is None or not self._probe(began_at):
            self._probe(began_at)
        self._began_at = None

    def _probe(self, began_at: float) -> bool:
        """Return False if the driver raised an error; then the connection is closed."""
        try:
            if self._connection is None:
                self._connection = open_probe_connection(self.alias, self.vendor, through_pooler=self._through_pooler)
                self._dialect = dialect_for(self.vendor, self._connection)
                self.server_version = server_version(self.vendor, self._connection)
            cursor = self._connection.cursor()
            status = (self._ask or self._dialect.status)(cursor)
            error = self._extra_check(cursor)
            cursor.close()
        except Exception as raised:  # noqa: BLE001 - drivers raise any class; each means that the server cannot be read
            self.error = f"{type(raised).__name__} when asked"
            self.shut_down = self.shut_down or _tells_shutdown(raised)
            self._close()
            return False
        # In this order: an evaluation in between must not see an old sample without its error.
        self.seconds = time.monotonic() - began_at
        self.last_sample = Sample(began_at, status)
        self.error, self.shut_down = error, False
        return True

    @property
    def state(self) -> ProbeState:
        """What is known now."""
        error = self.error  # before the sample, as in `_probe()`
        return ProbeState(
            began_at=self._began_at,
            forgiven_at=self._forgiven_at,
            sample=self.last_sample,
            error=error,
            seconds=self.seconds,
            server_version=self.server_version,
            shut_down=self.shut_down,
        )

    def take(self, state: ProbeState) -> None:
        """Have the state of a probe in another process. The own thread, if there is one, is paused."""
        self._began_at = state.began_at
        self._forgiven_at = state.forgiven_at
        self.last_sample = state.sample
        self.error = state.error
        self.seconds = state.seconds
        self.server_version = state.server_version
        self.shut_down = state.shut_down

    def pending_seconds(self, now: float) -> float:
        """Return the age of the running probe at `now`, a `time.monotonic()`; 0 if no probe is running."""
        began_at = self._began_at  # read once: the thread changes it
        return 0.0 if began_at is None else now - max(began_at, self._forgiven_at)

    def hangs(self, now: float) -> bool:
        """Return True if the running probe has taken too long at `now`, a `time.monotonic()`."""
        return self.pending_seconds(now) > PROBE_TIMEOUT_SECONDS

    def forgive(self, seconds: float, now: float) -> None:
        """Leave these seconds until `now` out of the age of the running probe: this process may have its answer."""
        began_at = self._began_at  # read once: the thread changes it
        if began_at is not None:
            self._forgiven_at = min(max(began_at, self._forgiven_at) + seconds, now)

    def reconnect(self) -> None:
        """Probe over a new connection next time, because the address may lead to another server now."""
        self._reconnects = True

    def reset(self) -> None:
        """Forget the sample and close the connection: the next probe may reach another server."""
        self.last_sample = None
        self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # a broken connection may raise while it closes
                connection.close()


def _tells_shutdown(error: Exception) -> bool:
    return getattr(error, "sqlstate", None) == _ADMIN_SHUTDOWN or _SHUTTING_DOWN in str(error)


def ping(cursor: Any) -> ServerStatus:
    """Ask the server of an owner without replicas for an answer, and for nothing about positions. One query."""
    cursor.execute("SELECT 1 /* switchyard */")
    cursor.fetchone()
    return ServerStatus(server_id="", is_standby=False, writable=True, position=None)


def server_version(vendor: str, connection: Any) -> str:
    """Return the version that the server told when the driver's connection opened, such as `18.6`. No query."""
    if vendor == "mysql":
        return str(connection.get_server_info())
    if vendor == "postgresql":
        return str(connection.info.parameter_status("server_version")).partition(" ")[0]
    return ""


def can_probe(alias: str) -> bool:
    """Return True if the engine of the alias derives from Django's own, so that the time-outs suit its driver."""
    return _django_backend(type(connections[alias])) is not None


def _django_backend(engine: type) -> Any:
    """Return the class of Django's own backend from which the engine derives; None if it derives from none."""
    modules = {f"django.db.backends.{vendor}.base" for vendor in _DRIVER_TIMEOUTS}
    return next((cls for cls in reversed(engine.__mro__) if cls.__module__ in modules), None)


def open_probe_connection(alias: str, vendor: str, *, through_pooler: bool = False) -> Any:
    """Return a new driver connection with time-outs: outside pools, guards and counters, in autocommit mode.

    The project's engine gives the parameters, such as a password that is made for each connection. Django's own backend
    opens the connection: an engine of another package may count connections and cursors.
    """
    settings = connections.settings[alias]
    if not through_pooler:
        settings = direct_settings(settings)
    options = {**settings["OPTIONS"], **_DRIVER_TIMEOUTS[vendor]}
    options.pop("pool", None)
    wrapper = load_backend(settings["ENGINE"]).DatabaseWrapper({**settings, "OPTIONS": options}, alias)
    parameters = wrapper.get_connection_params()
    parameters.pop("cursor_factory", None)  # of PostgreSQL: it may count
    backend = _django_backend(type(wrapper)) or type(wrapper)
    connection = backend.get_new_connection(wrapper, parameters)
    # Without autocommit, a transaction would stay open from probe to probe.
    if vendor == "mysql":
        connection.autocommit(True)
    else:
        connection.autocommit = True
    return connection
