"""Ask an alias whether it answers. The asking may hang for as long as its server does; who wants to know never does.

Each question goes over a connection of its own: outside the pool, whose threads may all be busy while the server is
well, and outside the counters, which are about the service's work.
"""

import logging
import threading
from concurrent.futures import Future
from enum import StrEnum
from functools import cache

from django.db import connections

from switchyard.migrations import pending
from switchyard.routing.connections.calls import exempt
from switchyard.routing.topology.ownership import replicated_by

logger = logging.getLogger(__name__)

DEADLINE = 2.0  # seconds


class AliasState(StrEnum):
    """What is known about an alias; its value is what /readyz says."""

    UP = "up"
    UNMIGRATED = "unmigrated"
    DOWN = "down"


class Probe:
    """Asks one alias, by at most one thread at a time however long that one hangs."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._lock = threading.Lock()
        self._asking: Future[AliasState] | None = None
        self._migrated = replicated_by(alias) is not None  # a replica replays what its owner migrates

    def ask(self) -> Future[AliasState]:
        """Return the answer to come; that of the question under way, if there is one."""
        with self._lock:
            if self._asking is None or self._asking.done():
                self._asking = Future()
                self._asking.set_running_or_notify_cancel()
                name = f"switchyard-health-{self.alias}"
                threading.Thread(target=self._answer, args=(self._asking,), name=name, daemon=True).start()
            return self._asking

    def _answer(self, answer: Future[AliasState]) -> None:
        try:
            answer.set_result(self._state())
        except Exception as error:  # noqa: BLE001 - drivers raise what they like, and each means that nothing answers
            logger.info("Alias '%s' is down: %s.", self.alias, type(error).__name__)
            answer.set_result(AliasState.DOWN)

    def _state(self) -> AliasState:
        connection = connections.create_connection(self.alias).copy()
        connection.settings_dict["OPTIONS"].pop("pool", None)
        exempt(connection)
        connections[self.alias] = connection  # in this thread only; `pending` finds it there
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchone()
            self._migrated = self._migrated or not pending(self.alias)
        finally:
            connection.close()
        return AliasState.UP if self._migrated else AliasState.UNMIGRATED


@cache
def probe_of(alias: str) -> Probe:
    """Return the process's one probe of the alias."""
    return Probe(alias)
