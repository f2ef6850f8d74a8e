"""The counters of this process, compared with the counters of the servers.

A query is one call into the driver; servers count other units. The table of `tests/support/driver_calls.py` has, for
each way to call, the increments of the counters and of each server. test_exactness.py compares any order of calls.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random

import pytest
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from tests.support.driver_calls import BY_ALIAS, ROWS, copy_in, execute, raw_read, savepoint, savepoint_rolled_back
from tests.support.server_counts import counted_by_server, forget, rows_by_server
from tests.support.servers import Servers

from switchyard.routing import allow_writes
from switchyard.routing.connections.wrapper import routed
from switchyard.telemetry import snapshot
from switchyard.telemetry.metrics import CONNECTIONS_CLOSED, CONNECTIONS_OPENED, QUERIES, TRANSACTIONS
from switchyard.telemetry.metrics import ROWS as ROWS_SEEN


@contextmanager
def counting() -> Iterator[dict[str, Counter[str]]]:
    """Yield a dictionary; after the block it has the increments of the counters: alias -> operation -> number."""
    added: dict[str, Counter[str]] = {alias: Counter() for alias in connections}
    before = snapshot()
    yield added
    for (name, labels), value in snapshot().items():
        if name == QUERIES and value != before[name, labels]:
            of = dict(labels)
            added[of["alias"]][of["operation"]] += int(value - before[name, labels])


@pytest.mark.docker
def test_volume__of_a_mixed_load(real_databases: Servers) -> None:
    """After a thousand calls of all kinds on three servers, counters and servers agree exactly."""
    random = Random(20261122)
    load = [(alias, random.choice(BY_ALIAS[alias])) for alias in random.choices(list(BY_ALIAS), k=1_000)]
    fill()
    for alias in BY_ALIAS:
        connections[alias].ensure_connection()
        forget(real_databases, alias)

    with counting() as counted, allow_writes("legacy", reason="the load of a test"):
        for alias, call in load:
            call.run(connections[alias])

    for alias, ways in BY_ALIAS.items():
        calls = [call for of, call in load if of == alias]
        by_server = Counter[str]()
        by_operation = Counter[str]()
        for call in calls:
            by_server.update((call.mysql if alias == "legacy" else call.postgresql) or {})
            by_operation.update(call.counted)
        assert set(map(id, calls)) == set(map(id, ways)), "the load leaves a way to call out"
        assert counted_by_server(real_databases, alias) == by_server, alias
        assert counted[alias] == by_operation, alias


def fill() -> None:
    """Insert rows into each table that is read; permissions exist already."""
    with allow_writes("legacy", reason="rows for a test"):
        for alias in ("analytics", "legacy"):
            for _ in range(ROWS):
                execute(connections[alias])


def rolled_back(connection: BaseDatabaseWrapper) -> None:
    with suppress(KeyError), transaction.atomic(using=connection.alias):
        execute(connection)
        raise KeyError


def empty_transaction(connection: BaseDatabaseWrapper) -> None:
    with transaction.atomic(using=connection.alias):
        pass


@pytest.mark.docker
@pytest.mark.parametrize("alias", ["analytics", "legacy"])
def test_volume__rows(real_databases: Servers, alias: str) -> None:
    """The rows that were returned and affected are those that the server and the table count."""
    fill()
    connections[alias].ensure_connection()
    forget(real_databases, alias)
    with increased(ROWS_SEEN) as rows, allow_writes("legacy", reason="the load of a test"):
        for call in BY_ALIAS[alias]:
            call.run(connections[alias])

    assert rows.total() == rows_by_server(real_databases, alias)
    assert rows == {
        (alias, "returned"): sum(call.returned for call in BY_ALIAS[alias]),
        (alias, "affected"): sum(call.affected for call in BY_ALIAS[alias]),
    }


@pytest.mark.docker
@pytest.mark.parametrize("alias", ["analytics", "legacy"])
def test_volume__transactions(real_databases: Servers, alias: str) -> None:
    """The transactions are those that the server counts; PostgreSQL sees none without a statement."""
    connections[alias].ensure_connection()
    forget(real_databases, alias)
    with increased(TRANSACTIONS) as ended, allow_writes("legacy", reason="the load of a test"):
        for run in (execute, savepoint, savepoint_rolled_back, rolled_back, rolled_back, empty_transaction):
            run(connections[alias])
    by_server = counted_by_server(real_databases, alias, apart=frozenset())

    assert ended == {(alias, "commit"): by_server["COMMIT"], (alias, "rollback"): by_server["ROLLBACK"]}
    assert ended == {(alias, "commit"): 2 if alias == "analytics" else 3, (alias, "rollback"): 2}


@contextmanager
def increased(family: str) -> Iterator[Counter[tuple[str, ...]]]:
    """Yield a counter; after the block it has the increments of the family by label values."""
    added = Counter[tuple[str, ...]]()
    before = snapshot()
    yield added
    for (name, labels), value in snapshot().items():
        if name == family and value != before[name, labels]:
            added[tuple(value for _, value in labels)] = int(value - before[name, labels])


@pytest.mark.docker
def test_volume__connections(real_databases: Servers) -> None:
    """Each connection of the driver counts once; a pool counts those that it opens, and none that it lends."""
    pooled = connections["analytics"].copy()
    pooled = routed(pooled)
    pooled.settings_dict["CONN_MAX_AGE"] = 0
    pooled.settings_dict["OPTIONS"]["pool"] = {"min_size": 2, "max_size": 2, "timeout": 0.2}
    connections["replica"].close()
    with increased(CONNECTIONS_OPENED) as opened, increased(CONNECTIONS_CLOSED) as closed:
        for _ in range(3):
            raw_read(connections["replica"])
            connections["replica"].close()
        try:
            for _ in range(5):
                raw_read(pooled)
                pooled.close()
        finally:
            pooled.close_pool()

    assert opened == {("replica",): 3, ("analytics",): 2}
    assert closed == {("replica",): 3}


@pytest.mark.docker
def test_volume__of_connections_that_are_set_up_again(real_databases: Servers) -> None:
    """Django's statements at the set-up of a connection are not counted, the first time and each later time."""
    with counting() as counted:
        for alias in BY_ALIAS:
            for _ in range(3):
                raw_read(connections[alias])
                connections[alias].close()

    assert {alias: dict(counts) for alias, counts in counted.items() if counts} == {
        alias: {"read": 3} for alias in BY_ALIAS
    }


@pytest.mark.docker
def test_volume__through_a_pool(real_databases: Servers) -> None:
    """The calls on each connection from a pool are counted once; the lending itself is not counted."""
    pooled = connections["analytics"].copy()
    pooled.settings_dict["CONN_MAX_AGE"] = 0
    pooled.settings_dict["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 2}
    try:
        with counting() as counted:
            for _ in range(5):
                raw_read(pooled)
                copy_in(pooled)
                pooled.close()
    finally:
        pooled.close_pool()

    assert counted["analytics"] == {"read": 5, "write": 5}


@pytest.mark.docker
def test_volume__of_a_stored_procedure_on_mysql(real_databases: Servers) -> None:
    """A call of a procedure is one query and a write, whatever the procedure does."""
    real_databases.ask("legacy", "CREATE PROCEDURE one() SELECT 1")
    real_databases.ask("legacy", "GRANT EXECUTE ON PROCEDURE one TO app")
    try:
        with (
            allow_writes("legacy", reason="a procedure may write"),
            counting() as counted,
            connections["legacy"].cursor() as cursor,
        ):
            cursor.callproc("one")
            rows = cursor.fetchall()
    finally:
        real_databases.ask("legacy", "DROP PROCEDURE one")

    assert rows == ((1,),)
    assert counted["legacy"] == {"write": 1}
