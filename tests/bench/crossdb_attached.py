"""Events with the name of their user, for bench-crossdb: by `attach()` across two databases, or by a join in one.

The environment says which: BENCH_WAY is `switchyard` or `join`. BENCH_SINCE has the moments since which there are so
many events, as JSON.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.db import models
from tests.bench.crossdb_reads import SINCE, WAY, checked

from accounts.models import User
from analytics.models import AnalyticsEvent

COLUMNS = ("user_id", "kind", "at")
CHUNK_SIZE = 10_000  # rows, as attach() reads them


class JoinedEvent(models.Model):
    """The table of the events with a foreign key, which the model of the service cannot have."""

    user = models.ForeignKey(User, models.DO_NOTHING, db_constraint=False, related_name="+")
    kind = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        app_label = "bench"
        managed = False
        db_table = AnalyticsEvent._meta.db_table

    def __str__(self) -> str:
        return f"{self.kind} by user {self.user_id}"


def attached_tuples(since: str) -> Iterable[Any]:
    """Yield tuples of an event and the name of its user, from two databases."""
    from switchyard.crossdb import attach  # noqa: PLC0415 - plain Django runs without it

    events = AnalyticsEvent.objects.filter(at__gte=since).values_list(*COLUMNS)
    return attach(events, user=User.objects.values_list("username", flat=True))


def attached_instances(since: str) -> Iterable[Any]:
    """Yield events with their user, from two databases."""
    from switchyard.crossdb import attach  # noqa: PLC0415 - plain Django runs without it

    return attach(AnalyticsEvent.objects.filter(at__gte=since), user=User.objects.only("username"))


def joined(since: str) -> Any:
    """Return the events of the database that has both tables."""
    return JoinedEvent.objects.using("analytics").filter(at__gte=since)


def joined_tuples(since: str) -> Any:
    """Return tuples of an event and the name of its user, from one database."""
    return joined(since).values_list(*COLUMNS, "user__username")


def joined_instances(since: str) -> Any:
    """Return events with their user, from one database."""
    return joined(since).select_related("user").only(*COLUMNS, "user__username")


def named_tuples(rows: Iterable[Any]) -> int:
    """Return the number of tuples with a name."""
    return sum(1 for _, _, _, name in rows if name)


def named_instances(rows: Iterable[Any]) -> int:
    """Return the number of events whose user has a name."""
    return sum(1 for event in rows if event.user.username)


READS: dict[str, Callable[[str], int]]
if WAY == "switchyard":
    READS = {
        "tuples": lambda since: named_tuples(attached_tuples(since)),
        "instances": lambda since: named_instances(attached_instances(since)),
    }
else:
    READS = {
        "tuples": lambda since: named_tuples(joined_tuples(since).iterator(CHUNK_SIZE)),
        "instances": lambda since: named_instances(joined_instances(since).iterator(CHUNK_SIZE)),
        "list of tuples": lambda since: named_tuples(joined_tuples(since)),
        "list of instances": lambda since: named_instances(joined_instances(since)),
    }
WORKLOADS = {
    f"{form} {number}": partial(checked, form, partial(read, since), int(number))
    for form, read in READS.items()
    for number, since in SINCE.items()
}
