"""Tell whether an alias answers. A probe may block on a hung server; its callers wait for the timeout at most.

The monitor of this process knows the server of each alias that it watches, and its verdict serves without a query. A
probe asks by itself only where the monitor does not: an SQLite file, an alias that owns nothing, an engine whose
time-outs are unknown, a test. It opens a connection of its own: outside the pool, whose connections may all be in use
on a healthy server, and outside the counters, which show the work of the service.
"""

import logging
import threading
import time
from concurrent.futures import Future
from enum import StrEnum
from functools import cache

from django.db import connections

from switchyard.migrations import pending
from switchyard.routing.connections.calls import exempt
from switchyard.routing.monitor import monitor, server_status
from switchyard.routing.topology.ownership import is_unmanaged, replicated_by

logger = logging.getLogger(__name__)

PROBE_TIMEOUT_SECONDS = 2.0
_VERDICT_POLL_SECONDS = 0.02


class AliasState(StrEnum):
    """The state of an alias, with the word that /readyz shows."""

    UP = "up"
    UNMIGRATED = "unmigrated"
    DOWN = "down"


class AliasProbe:
    """Probes one alias, with at most one thread at a time, however long the thread hangs."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._lock = threading.Lock()
        self._running: Future[AliasState] | None = None
        # A replica replays the migrations of its owner. Nobody waits for those of an unmanaged owner.
        self._migrated = replicated_by(alias) is not None or is_unmanaged(alias)

    def probe(self) -> Future[AliasState]:
        """Return the verdict of the monitor, or the result to come of a new or running probe. Does not block."""
        if (state := self._known_state()) is not None:
            known: Future[AliasState] = Future()
            known.set_result(state)
            return known
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future()
                self._running.set_running_or_notify_cancel()
                name = f"switchyard-health-{self.alias}"
                threading.Thread(target=self._run, args=(self._running,), name=name, daemon=True).start()
            return self._running

    def _known_state(self) -> AliasState | None:
        """Return the verdict of the monitor; None if it does not watch the server, or has no answer of it yet."""
        answers = server_status.answers(self.alias)
        if not answers:
            return None if answers is None else AliasState.DOWN
        # None if the user may not read the recorded migrations: another query would not be answered either.
        self._migrated = self._migrated or monitor.pending_migrations(self.alias) == 0
        return AliasState.UP if self._migrated else AliasState.UNMIGRATED

    def _run(self, result: Future[AliasState]) -> None:
        try:
            result.set_result(self._first_verdict() if monitor.watches(self.alias) else self._own_query())
        except Exception as error:  # noqa: BLE001 - drivers raise exceptions of any class, and each means "down"
            logger.info("Alias '%s' is down: %s.", self.alias, type(error).__name__)
            result.set_result(AliasState.DOWN)

    def _first_verdict(self) -> AliasState:
        """Wait for the verdict of a monitor that has just started."""
        deadline = time.monotonic() + PROBE_TIMEOUT_SECONDS
        while (state := self._known_state()) is None and time.monotonic() < deadline:
            time.sleep(_VERDICT_POLL_SECONDS)
        return state or AliasState.DOWN

    def _own_query(self) -> AliasState:
        connection = connections.create_connection(self.alias).copy()
        connection.settings_dict["OPTIONS"].pop("pool", None)
        exempt(connection)
        connections[self.alias] = connection  # in this thread only; `pending` uses it
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchone()
            self._migrated = self._migrated or not pending(self.alias)
        finally:
            connection.close()
        return AliasState.UP if self._migrated else AliasState.UNMIGRATED


@cache
def probe_of(alias: str) -> AliasProbe:
    """Return the only probe of the alias in this process."""
    return AliasProbe(alias)
