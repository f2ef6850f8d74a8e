"""Slow and failing statements of each alias: their text without values, and the classes of their errors.

A call that is neither slow nor failing never comes here. The others are put into a queue, and are read by the
recorder's thread: a text is not normalized while its request waits.
"""

import time
from collections import Counter, deque
from typing import Any, NamedTuple

from django.db import connections

from switchyard.routing.connections import events
from switchyard.routing.connections.calls import SLOW_CALL_SECONDS
from switchyard.sql import normalized
from switchyard.sql.masking import MAX_READ_CHARACTERS
from switchyard.telemetry.layout import OTHER
from switchyard.telemetry.recent.entries import Entry, Kind, taken
from switchyard.telemetry.recent.pod_record import STATEMENTS_FILE

_MAX_WAITING = 1000  # calls of one second; the oldest of more are lost


class _Call(NamedTuple):
    alias: str
    vendor: str
    sql: str
    seconds: float
    error: str  # the class, empty without an error
    ended_at: float


# Of this process. No lock: a call ends wherever the garbage collector closes a generator.
_waiting: deque[_Call] = deque(maxlen=_MAX_WAITING)


def _merge(earlier: Entry, later: Entry) -> Entry:
    return {
        **later,
        "calls": earlier["calls"] + later["calls"],
        "seconds": earlier["seconds"] + later["seconds"],
        "slowest_seconds": max(earlier["slowest_seconds"], later["slowest_seconds"]),
        "errors": dict(Counter(earlier["errors"]) + Counter(later["errors"])),
    }


STATEMENTS = Kind(STATEMENTS_FILE, identity=("alias", "statement"), last_at="last_at", merge=_merge)


def install() -> None:
    """Keep every slow or failing call from now on. A second call changes nothing."""
    events.call_stood_out.connect(_keep, dispatch_uid="switchyard.telemetry.recent.statements")


def discard() -> None:
    """Forget the calls that wait: in a forked child, whose parent has them."""
    _waiting.clear()


def drain() -> list[Entry]:
    """Return the calls that waited, as entries."""
    return [_entry(call) for call in taken(_waiting)]


def _entry(call: _Call) -> Entry:
    return {
        "alias": call.alias if call.alias in connections else OTHER,
        "statement": normalized(call.sql, call.vendor),
        "calls": 1,
        "seconds": call.seconds,
        "slowest_seconds": call.seconds,
        "errors": {call.error: 1} if call.error else {},
        "last_at": call.ended_at,
    }


def _keep(*, alias: str, vendor: str, sql: str, seconds: float, error: BaseException | None, **_signal: Any) -> None:
    failed = error is not None and not isinstance(error, GeneratorExit)  # the closing of a generator is no error
    if failed or seconds >= SLOW_CALL_SECONDS:
        name = type(error).__name__ if failed else ""
        _waiting.append(_Call(alias, vendor, sql[:MAX_READ_CHARACTERS], seconds, name, time.time()))
