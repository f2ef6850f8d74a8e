"""Everything that the console knows, for its page and for programs. No host, user, database name or password."""

import socket
import time
from contextlib import suppress
from typing import Any

from switchyard.console import load
from switchyard.console.alias_data import aliases_data
from switchyard.routing.monitor import monitor
from switchyard.telemetry.recent import recorder
from switchyard.telemetry.recent.ring import INTERVAL_SECONDS


def console_data() -> dict[str, Any]:
    """Return what happened on each alias in the last fifteen minutes, in all processes that share METRICS_DIR.

    Makes no query: everything comes from memory.
    """
    monitor.ensure_running()
    recorder.ensure_running()
    now = time.time()
    recent = recorder.recent()
    with suppress(OSError):  # a full METRICS_DIR; the thread of the recorder logs it
        recent.flush()
    recording = recent.history.recording(now)
    violations = recent.violations.newest(now)
    return {
        "at": now,
        "interval_seconds": INTERVAL_SECONDS,
        "times": recording.times,
        "pods": [socket.gethostname()],
        "aliases": aliases_data(recording, violations),
        "decisions": load.decisions(recording),
        "statements": recent.statements.newest(now),
        "violations": violations,
    }
