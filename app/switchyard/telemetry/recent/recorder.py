"""The thread of each process that keeps the history. It starts with the first connection of the process."""

import logging
import os
import threading
import time
from typing import Any

from switchyard.routing.connections import events
from switchyard.routing.monitor import monitor
from switchyard.telemetry import counters
from switchyard.telemetry.recent.history import History

logger = logging.getLogger(__name__)

TURN_SECONDS = 1.0


class Recorder:
    """The history of this process, and its thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._history: History | None = None
        self._runs = False
        os.register_at_fork(after_in_child=self._discard)

    def history(self) -> History:
        """Return the history that this process reads and writes."""
        with self._lock:
            if self._history is None:
                self._history = History(counters.current())
            return self._history

    def ensure_running(self) -> None:
        """Keep the history from now on; not while tests run, whose counts are no load."""
        with self._lock:
            if self._runs or monitor.under_test():
                return
            self._runs = True
        threading.Thread(target=self._run, name="switchyard-history", daemon=True).start()

    def turn(self) -> None:
        """Do what is due now. Raises OSError if METRICS_DIR cannot be written."""
        self.history().sample(time.time())

    def _run(self) -> None:
        fails = False
        while True:
            try:
                self.turn()
                fails = False
            except OSError as error:
                if not fails:  # one line, and not one each second
                    logger.error("The console has no history, METRICS_DIR cannot be used: %s.", error.strerror)  # noqa: TRY400 - no traceback
                fails = True
            time.sleep(TURN_SECONDS)

    def _discard(self) -> None:
        """Begin anew in a forked child, which has no thread."""
        self._lock = threading.Lock()
        self._history, self._runs = None, False


_recorder = Recorder()
history, ensure_running, turn = _recorder.history, _recorder.ensure_running, _recorder.turn


def install() -> None:
    """Keep the history from the first connection of this process on. A second call changes nothing."""
    events.connection_opened.connect(_start, dispatch_uid="switchyard.telemetry.recent.recorder")


def _start(**_signal: Any) -> None:
    ensure_running()
