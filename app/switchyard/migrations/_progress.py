"""The rows of a long data migration in batches, with its progress: a bar on a terminal, lines in a Job's log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import QuerySet
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from switchyard.migrations._stopping import raise_if_stopped_inside
from switchyard.routing.topology.ownership import replicated_by

type Rows = QuerySet[Any]

_LINE_INTERVAL_SECONDS = 10.0


def in_batches(queryset: "Rows", *, size: int = 1000) -> "Iterator[Rows]":
    """Yield the rows in batches by primary key, and report to stderr how many are done.

    For data migrations. A batch is a queryset, so it can be updated, deleted or read. Rows that a batch takes out of
    the queryset's conditions are no trouble, and no row is read from a replica. In a migration with `atomic = False`
    each batch is committed by itself; if the migration also says `restartable = True`, SIGTERM ends it between two
    batches, and the next start continues.

    Queries: one that counts, and one for the keys of each batch.

        def fill(apps, schema_editor):
            orders = apps.get_model("shop", "Order").objects.using(schema_editor.connection.alias)
            for batch in in_batches(orders.filter(total=None)):
                batch.update(total=F("net") + F("tax"))
    """
    rows = queryset.using(replicated_by(queryset.db) or queryset.db)
    keys = rows.order_by("pk").values_list("pk", flat=True)
    done = 0
    with _reported(f"{rows.model._meta.label} on '{rows.db}'", total=rows.count()) as report:
        batch = list(keys[:size])
        while batch:
            raise_if_stopped_inside()
            yield rows.filter(pk__gte=batch[0], pk__lte=batch[-1])
            done += len(batch)
            report(done)
            batch = list(keys.filter(pk__gt=batch[-1])[:size])


@contextmanager
def _reported(label: str, *, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of rows that are done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(label, total)
        return
    console.print()  # Django has not ended its line "Applying ..."
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)


def _lines(label: str, total: int) -> Callable[[int], None]:
    """Return a function that writes a line now and then: rows done, and an estimate of the time that is left."""
    begun = printed = time.monotonic()

    def write(done: int) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed < _LINE_INTERVAL_SECONDS:
            return
        printed = now
        left = (now - begun) / done * max(total - done, 0)
        percent = 100 * done // max(total, done)
        sys.stderr.write(f"{label}: {done:,} of {total:,} rows ({percent} %), about {left:.0f} s left\n")

    return write
