"""Decisions to run in a contender: `router.db_for_read()`, called as Django's querysets call it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.db import connections, router, transaction
from tests.bench.service.models import Note, Row

type Decide = Callable[[], object]


@contextmanager
def read() -> Iterator[Decide]:
    """A read without anything special."""
    connections["default"].ensure_connection()  # like any thread that has written once
    yield partial(router.db_for_read, Row)


@contextmanager
def unopened() -> Iterator[Decide]:
    """A thread that has only read from the replica."""
    yield partial(router.db_for_read, Row)


@contextmanager
def with_instance() -> Iterator[Decide]:
    """A forward relation of an instance that was loaded from the replica."""
    connections["default"].ensure_connection()
    note = Note(pk=1, row_id=1)
    note._state.db = "replica"
    yield partial(router.db_for_read, Row, instance=note)


@contextmanager
def in_transaction() -> Iterator[Decide]:
    """Inside `atomic()` on the owner."""
    with transaction.atomic():
        yield partial(router.db_for_read, Row)


WORKLOADS: dict[str, Callable[[], object]] = {
    "read": read,
    "with an instance": with_instance,
    "in a transaction": in_transaction,
}

if settings.STACK == "switchyard":
    from tests.support.published import consistency_from

    from switchyard.positions.postgresql import Lsn
    from switchyard.routing.session import context
    from switchyard.routing.topology.replication import Replica, replication_set

    # SQLite's replicas do not lag; as lagging replicas they take the same steps as PostgreSQL's.
    group = replication_set("default")
    group.replace_snapshot(lag_free=False)
    group.replace_snapshot(
        Replica(alias, position=Lsn("1", 1, 200)) for alias in settings.SWITCHYARD["REPLICAS"]["default"]
    )

    @contextmanager
    def in_request() -> Iterator[Decide]:
        """A request without a token."""
        with context.activate(context.request_context()), read() as decide:
            yield decide

    @contextmanager
    def with_token(lsn: int, **last: str) -> Iterator[Decide]:
        """A request with a token, and with the replica read last if there are several."""
        consistency = consistency_from({"default": Lsn("1", 1, lsn)}, last)
        with context.activate(context.request_context(consistency=consistency)), read() as decide:
            yield decide

    WORKLOADS |= {
        "the owner never opened": unopened,
        "in a request": in_request,
        "caught up": partial(with_token, 100),
        "pinned": partial(with_token, 300),
    }
    if len(group.snapshot.replicas) > 1:
        WORKLOADS["having read the second best"] = partial(with_token, 100, default=group.snapshot.eligible[-1].alias)
