"""What one request did: its decisions by alias and rule, its calls into the driver and their seconds.

Nothing of this module is installed before the first middleware that needs a record.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace

from switchyard.routing.connections import calls
from switchyard.routing.decision import Decision, decision_counter
from switchyard.sql import Statement


class RequestRecord:
    """The work of one request by alias. Threads and tasks of the request share it."""

    def __init__(self) -> None:
        self.rules: defaultdict[str, Counter[str]] = defaultdict(Counter)  # alias -> rule -> decisions
        self.queries: Counter[str] = Counter()  # alias -> calls into the driver
        self.seconds: defaultdict[str, float] = defaultdict(float)  # alias -> time in these calls

    def aliases(self) -> list[str]:
        """Return the aliases that the request used, sorted."""
        return sorted(self.rules.keys() | self.queries.keys())


_record: ContextVar[RequestRecord | None] = ContextVar("switchyard.request_record", default=None)


@contextmanager
def recording() -> Iterator[RequestRecord]:
    """Yield the record of the request that runs in this block; an inner block has the record of the outer one."""
    if (outer := _record.get()) is not None:
        yield outer
        return
    record = RequestRecord()
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


class _CallRecorder(calls.CallObserver):
    def call_ended(
        self, alias: str, vendor: str, statement: Statement, seconds: float, error: BaseException | None
    ) -> None:
        """Record the call."""
        if (record := _record.get()) is not None:
            record.queries[alias] += 1
            record.seconds[alias] += seconds


_recorder = _CallRecorder()


def install() -> None:
    """Record the calls and decisions of all requests from now on. A second call changes nothing."""
    calls.remove_observer(_recorder)
    calls.add_observer(_recorder)
    count = decision_counter.count
    if not hasattr(count, "records"):

        def recorded(decision: Decision) -> None:
            count(decision)
            if (record := _record.get()) is not None:
                record.rules[decision.alias][decision.rule] += 1

        recorded.records = True  # type: ignore[attr-defined]
        decision_counter.count = recorded
        decision_counter.thread_local = SimpleNamespace()  # no cells: every decision calls `count`
