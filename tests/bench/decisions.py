"""Decisions to run in a contender: `router.db_for_read()` as Django's own querysets ask it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.db import connections, router, transaction
from tests.bench.service.models import Note, Row

type Decide = Callable[[], object]


@contextmanager
def read() -> Iterator[Decide]:
    """A read, and nothing about it."""
    connections["default"].ensure_connection()  # as in any thread that wrote once
    yield partial(router.db_for_read, Row)


@contextmanager
def unopened() -> Iterator[Decide]:
    """A thread that has only read from the replica so far."""
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
    from switchyard.positions.postgresql import Lsn
    from switchyard.routing.session import context
    from switchyard.routing.session.consistency import consistency_from
    from switchyard.routing.topology.replication import Replica, replication_set

    # SQLite's replicas are in step and owe nothing; judged as PostgreSQL's they cost what those cost.
    group = replication_set("default")
    group.replace_snapshot(lag_free=False)
    group.replace_snapshot(
        Replica(alias, position=Lsn("1", 1, 200)) for alias in settings.SWITCHYARD["REPLICAS"]["default"]
    )

    @contextmanager
    def in_request() -> Iterator[Decide]:
        """A request that carries no token."""
        with context.activate(context.request_context()), read() as decide:
            yield decide

    @contextmanager
    def owing(lsn: int, **last: str) -> Iterator[Decide]:
        """A request that carries a token, with the replica that was read last where there are several."""
        ledger = consistency_from({"default": Lsn("1", 1, lsn)}, last)
        with context.activate(context.request_context(consistency=ledger)), read() as decide:
            yield decide

    WORKLOADS |= {
        "the owner never opened": unopened,
        "in a request": in_request,
        "caught up": partial(owing, 100),
        "pinned": partial(owing, 300),
    }
    if len(group.snapshot.replicas) > 1:
        WORKLOADS["having read the second best"] = partial(owing, 100, default=group.snapshot.eligible[-1].alias)
