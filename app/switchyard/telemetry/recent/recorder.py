"""The thread of each process that keeps the history and the recent events. It starts with the first connection."""

import logging
import os
import threading
import time
from typing import Any

from django.dispatch import Signal

from switchyard.routing.connections import events
from switchyard.routing.monitor import monitor
from switchyard.telemetry import counters
from switchyard.telemetry.recent import statements, violations
from switchyard.telemetry.recent.entries import Entries
from switchyard.telemetry.recent.history import History
from switchyard.telemetry.recent.statements import STATEMENTS
from switchyard.telemetry.recent.violations import VIOLATIONS

logger = logging.getLogger(__name__)

TURN_SECONDS = 1.0
sampled = Signal()  # this process has taken the sample of an interval


class Recent:
    """What this process reads and writes: the files of METRICS_DIR, or its own memory."""

    def __init__(self) -> None:
        opened = counters.current()
        directory = opened.open().directory
        self.history = History(opened)
        self.statements = Entries(STATEMENTS, directory)
        self.violations = Entries(VIOLATIONS, directory)

    def flush(self) -> None:
        """Write the events of this process. Raises OSError if METRICS_DIR cannot be written."""
        self.statements.add(statements.drain())
        self.violations.add(violations.drain())


class Recorder:
    """What is recent in this process, and its thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: Recent | None = None
        self._runs = False
        os.register_at_fork(after_in_child=self._discard)

    def recent(self) -> Recent:
        """Return what is recent."""
        with self._lock:
            if self._recent is None:
                self._recent = Recent()
            return self._recent

    def ensure_running(self) -> None:
        """Keep the history from now on; not while tests run, whose counts are no load."""
        with self._lock:
            if self._runs or monitor.under_test():
                return
            self._runs = True
        threading.Thread(target=self._run, name="switchyard-history", daemon=True).start()

    def turn(self) -> None:
        """Do what is due now. Raises OSError if METRICS_DIR cannot be written."""
        recent = self.recent()
        recent.flush()
        if recent.history.sample(time.time()):
            sampled.send(sender=None)

    def _run(self) -> None:
        fails = False
        while True:
            try:
                self.turn()
                fails = False
            except Exception:  # the thread goes on: a full file system gets space again
                if not fails:  # one line, and not one each second
                    logger.exception("What the console shows could not be kept.")
                fails = True
            time.sleep(TURN_SECONDS)

    def _discard(self) -> None:
        """Begin anew in a forked child, which has no thread."""
        self._lock = threading.Lock()
        self._recent, self._runs = None, False
        statements.discard()
        violations.discard()


_recorder = Recorder()
recent, ensure_running = _recorder.recent, _recorder.ensure_running


def install() -> None:
    """Keep what happens from the first connection of this process on. A second call changes nothing."""
    statements.install()
    violations.install()
    events.connection_opened.connect(_start, dispatch_uid="switchyard.telemetry.recent.recorder")


def _start(**_signal: Any) -> None:
    ensure_running()
