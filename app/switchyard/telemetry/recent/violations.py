"""Recent violations: their kind, alias and reason, and the place in the program. No value of a row is kept."""

import time
from collections import deque
from typing import Any

from switchyard.routing import RoutingError, violations
from switchyard.telemetry.recent.entries import Entry, Kind, taken
from switchyard.telemetry.recent.places import place_in_program
from switchyard.telemetry.recent.pod_record import VIOLATIONS_FILE

_MAX_WAITING = 1000  # violations of one second; the oldest of more are lost

_waiting: deque[Entry] = deque(maxlen=_MAX_WAITING)  # of this process


def _merge(earlier: Entry, later: Entry) -> Entry:
    return {**later, "count": earlier["count"] + later["count"]}


VIOLATIONS = Kind(VIOLATIONS_FILE, identity=("kind", "alias", "reason", "place"), last_at="at", merge=_merge)


def install() -> None:
    """Keep every violation from now on. A second call changes nothing."""
    violations.connect(_keep, dispatch_uid="switchyard.telemetry.recent.violations")


def discard() -> None:
    """Forget the violations that wait: in a forked child, whose parent has them."""
    _waiting.clear()


def drain() -> list[Entry]:
    """Return the violations that waited, as entries."""
    return list(taken(_waiting))


def _keep(*, kind: str, alias: str, error: RoutingError, **_signal: Any) -> None:
    _waiting.append(
        {
            "at": time.time(),
            "kind": kind,
            "alias": alias,
            "reason": error.summary,
            "place": place_in_program(),
            "count": 1,
        }
    )
