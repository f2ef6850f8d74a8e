"""Gauges of the connection pools of this process, written every second into a file of METRICS_DIR.

The exporter leaves out a file that nobody writes any more.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import connections

from switchyard.conf import conf
from switchyard.routing.connections import events
from switchyard.telemetry.gauges import process_files

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0

_writing_process: int | None = None
_lock = threading.Lock()


def install() -> None:
    """Write the gauges from the first connection of a pool on. A second call changes nothing."""
    events.connection_opened.connect(_start, dispatch_uid="switchyard.telemetry.gauges.pool_gauges")


def pools() -> Mapping[str, Mapping[str, int]]:
    """Return what is known of each pool of this process, by alias."""
    return {alias: _gauges(pool.get_stats()) for alias, pool in _pools().items()}


def _pools() -> Mapping[str, Any]:
    found = (getattr(connections[alias], "_connection_pools", {}) for alias in connections)
    return {alias: pool for pools in found for alias, pool in pools.items()}


def _gauges(stats: Mapping[str, int]) -> Mapping[str, int]:
    idle = stats["pool_available"]
    return {
        "idle": idle,
        "used": stats["pool_size"] - idle,
        "max": stats["pool_max"],
        "pending_requests": stats["requests_waiting"],
    }


def _start(*, alias: str, **_signal: Any) -> None:
    global _writing_process  # noqa: PLW0603 - a forked child starts a thread of its own
    directory = conf.metrics_dir
    if directory is None or _writing_process == os.getpid() or alias not in _pools():
        return
    with _lock:
        if _writing_process == os.getpid():
            return
        _writing_process = os.getpid()
    threading.Thread(target=_run, args=(Path(directory),), name="switchyard-pool-gauges", daemon=True).start()


def _run(directory: Path) -> None:
    try:
        path = process_files.claim(directory, "process")
        while True:
            process_files.write(path, {"pools": pools()})
            time.sleep(INTERVAL_SECONDS)
    except OSError as error:
        logger.error("The pools of this process have no gauges, METRICS_DIR cannot be written: %s.", error.strerror)  # noqa: TRY400 - no traceback
