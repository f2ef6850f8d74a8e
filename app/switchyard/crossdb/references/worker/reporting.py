"""Report the tombstones of the references as gauges, while the worker runs: what waits, how long, what was set aside.

Each owner has a thread of its own, so that an owner that hangs holds up no other one, and a long batch no report.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.db import Error, close_old_connections, connections

from switchyard.conf import conf
from switchyard.crossdb.references.registry import Reference
from switchyard.crossdb.references.tombstones import OPEN
from switchyard.crossdb.references.unknown import UnknownReference, unknown_references
from switchyard.crossdb.references.worker.backlog import backlog
from switchyard.crossdb.references.worker.stopping import Stop
from switchyard.telemetry.gauges import reference_gauges
from switchyard.telemetry.gauges.reference_gauges import INTERVAL_SECONDS, MAX_INTERVAL_SECONDS, ReferenceGauges

logger = logging.getLogger(__name__)

_END_SECONDS = 1.0  # that a thread has to end
_MAX_SHARE = 0.05  # of its time that a thread reads: a million tombstones on SQLite take 0.3 seconds


@contextmanager
def reporting(references: Iterable[Reference], stop: Stop) -> Iterator[None]:
    """Write the gauges of the references into METRICS_DIR in this block, until the stop is requested.

    Without METRICS_DIR nothing is read and nothing is written.
    """
    by_owner: dict[str, list[Reference]] = defaultdict(list)
    for reference in references if conf.metrics_dir else ():
        by_owner[reference.parent_owner].append(reference)
    threads = [
        threading.Thread(
            target=_run,
            args=(each, Path(conf.metrics_dir or ""), stop),
            name=f"switchyard-references-{owner}",
            daemon=True,  # an owner that hangs must not keep the process alive
        )
        for owner, each in by_owner.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(_END_SECONDS)


def gauges_of(reference: Reference | UnknownReference) -> ReferenceGauges:
    """Read the gauges of one reference; an unknown one has no target. One query on the owner of the parents."""
    found = backlog(reference, OPEN)
    return ReferenceGauges(
        reference=reference.label,
        source=reference.parent_owner,
        target=reference.child_owner if isinstance(reference, Reference) else "",
        waiting=found.waiting,
        set_aside=found.set_aside,
        oldest_age_seconds=found.oldest_age_seconds,
    )


def _run(references: Sequence[Reference], directory: Path, stop: Stop) -> None:
    try:
        path = reference_gauges.claim(directory)
        while not stop.is_set():
            began_at = time.monotonic()
            _report(references, path)
            stop.wait(_pause_seconds(time.monotonic() - began_at))
    except OSError as error:
        logger.error("References have no gauges, METRICS_DIR cannot be written: %s.", error.strerror)  # noqa: TRY400 - no traceback
    finally:
        connections.close_all()  # those of this thread


def _report(references: Sequence[Reference], path: Path) -> None:
    """Write new gauges. If the owner does not answer, the earlier ones become old and nobody shows them any more."""
    close_old_connections()
    owner = references[0].parent_owner
    try:
        found: list[Reference | UnknownReference] = [*references, *unknown_references(owner, references)]
        gauges = [gauges_of(each) for each in found]
    except Error:
        logger.debug("The tombstones on '%s' could not be counted.", owner, exc_info=True)
        return
    reference_gauges.write(path, gauges)


def _pause_seconds(reading_seconds: float) -> float:
    return min(max(INTERVAL_SECONDS, reading_seconds / _MAX_SHARE), MAX_INTERVAL_SECONDS)
