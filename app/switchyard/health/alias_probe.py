"""Probe whether an alias answers. The probe may block on a hung server; its callers wait for the timeout at most.

Where the monitor of this process watches the server, its verdict serves, without a query. Otherwise, as for a file of
SQLite or a user who may not read the recorded migrations, each probe opens a connection of its own: outside the pool,
whose connections may all be in use on a healthy server, and outside the counters, which show the work of the service.
The state of replicas (lag, position) belongs to `switchyard.routing.monitor`.
"""

import logging
import threading
from concurrent.futures import Future
from enum import StrEnum
from functools import cache

from django.db import connections

from switchyard.migrations import pending
from switchyard.routing.connections.calls import exempt
from switchyard.routing.monitor import monitor, server_status
from switchyard.routing.topology.ownership import replicated_by

logger = logging.getLogger(__name__)

PROBE_TIMEOUT_SECONDS = 2.0


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
        self._migrated = replicated_by(alias) is not None  # a replica replays the migrations of its owner

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
        """Return the verdict of the monitor; None if it does not know the server, or not yet its migrations."""
        answers = server_status.answers(self.alias)
        if not answers:
            return None if answers is None else AliasState.DOWN
        if not self._migrated:
            pending = monitor.pending_migrations(self.alias)
            if pending:
                return AliasState.UNMIGRATED
            self._migrated = pending == 0
        return AliasState.UP if self._migrated else None

    def _run(self, result: Future[AliasState]) -> None:
        try:
            result.set_result(self._state())
        except Exception as error:  # noqa: BLE001 - drivers raise exceptions of any class, and each means "down"
            logger.info("Alias '%s' is down: %s.", self.alias, type(error).__name__)
            result.set_result(AliasState.DOWN)

    def _state(self) -> AliasState:
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
