"""Read the next rows of a query in a thread, while the caller works with those before."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from django.db import connections
from django.db.models import QuerySet

from switchyard.crossdb.execution import has_conditions

_BATCHES_AHEAD = 2  # that wait for the caller


def reads_one_cursor(rows: QuerySet[Any, Any]) -> bool:
    """Return True if a thread may read on what `rows.iterator()` has begun; `using()` names the alias. No query.

    psycopg lets several threads use a connection; other drivers do not. A condition on keys of another database may run
    more queries between the rows, and Django refuses a query in another thread than the connection's.
    """
    return connections[rows.db].vendor == "postgresql" and not has_conditions(rows.query.get_compiler(rows.db))


def read_ahead[Batch: Sequence[Any]](
    batches: Iterator[Batch], size: int, is_allowed: Callable[[], bool]
) -> Iterator[Batch]:
    """Yield the batches, and read the next two meanwhile in a thread, if allowed and the first has `size` rows."""
    first = next(batches, None)
    if first is None:
        return
    if len(first) < size or not is_allowed():
        yield first
        del first  # its memory may serve the next one
        yield from batches
        return
    read = partial(copy_context().run, lambda: next(batches, None))
    with ThreadPoolExecutor(1, "switchyard-reader") as reader:
        coming = deque(reader.submit(read) for _ in range(_BATCHES_AHEAD))
        try:
            yield first
            del first  # as above
            while (batch := coming.popleft().result()) is not None:
                coming.append(reader.submit(read))
                yield batch
        finally:
            for each in coming:
                each.cancel()
