"""Parents in a partitioned table of PostgreSQL, and sessions of replication: which deletions are recorded."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connections
from tests.support.parents import execute, parents, recorded, reference_to, stored
from tests.support.recording_owners import pg, servers
from tests.support.scratch_tables import scratch_tables
from tests.support.servers import Servers

from switchyard.crossdb.references.checks import declared
from switchyard.crossdb.references.checks.servers import check_parents
from switchyard.crossdb.references.worker.status import status

pytestmark = pytest.mark.docker

__all__ = ["pg", "servers"]  # fixtures


@pytest.fixture
def customer(pg: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Parents in two partitions: the keys below 100, and those from there on. Their reference is the only one."""
    model = parents()
    monkeypatch.setattr(declared, "references", lambda **_options: iter([reference_to(model)]))
    execute(pg, "CREATE TABLE buyers (id bigint PRIMARY KEY, word varchar(20)) PARTITION BY RANGE (id)")
    execute(pg, "CREATE TABLE buyers_low PARTITION OF buyers FOR VALUES FROM (0) TO (100)")
    execute(pg, "CREATE TABLE buyers_high PARTITION OF buyers FOR VALUES FROM (100) TO (200)")
    with connections[pg].schema_editor() as editor:
        editor.add_constraint(model, model._meta.constraints[0])
    execute(pg, "INSERT INTO buyers SELECT number, 'a' FROM generate_series(1, 9) AS number")
    yield model
    execute(pg, "DROP TABLE buyers")


def delete_everywhere(alias: str) -> None:
    """Delete on a partition and on the table, and change keys inside a partition and across both."""
    execute(alias, "DELETE FROM buyers_low WHERE id = 1")
    execute(alias, "DELETE FROM buyers WHERE id = 2")
    execute(alias, "UPDATE buyers_low SET id = 13 WHERE id = 3")
    execute(alias, "UPDATE buyers SET id = 104 WHERE id = 4")
    execute(alias, "UPDATE buyers SET word = 'b'")


def test_partitions__by_statement(pg: str, customer: Any) -> None:
    """The trigger for each statement sees no DELETE on a partition and no key that moves: a check warns of both."""
    delete_everywhere(pg)
    (warning,) = check_parents(databases=[pg])

    assert recorded(pg) == ["2", "3"]
    assert warning.id == "switchyard.W014"
    assert "is partitioned: a DELETE that names a partition" in warning.msg
    assert (status(reference_to(customer)).state, warning.hint) == (
        "partitioned",
        status(reference_to(customer)).advice,
    )


def test_partitions__by_row(pg: str, customer: Any) -> None:
    """The statement of the warning records all of them, on later partitions too, and ends the warning."""
    (warning,) = check_parents(databases=[pg])
    execute(pg, str(warning.hint).removeprefix("Let a migration run: ").partition(". TRUNCATE")[0])
    delete_everywhere(pg)
    execute(pg, "CREATE TABLE buyers_later PARTITION OF buyers FOR VALUES FROM (200) TO (300)")
    execute(pg, "INSERT INTO buyers VALUES (200, 'a')")
    execute(pg, "DELETE FROM buyers_later")

    assert recorded(pg) == ["1", "2", "3", "4", "200"]
    assert check_parents(databases=[pg]) == []
    assert status(reference_to(customer)).state == "well"


def test_partitions__triggers_are_removed(pg: str, customer: Any) -> None:
    """The declaration that is removed takes the triggers of the partitions along."""
    execute(pg, customer._meta.constraints[0].deleted_by_row(customer, connections[pg]))
    with connections[pg].schema_editor() as editor:
        editor.remove_constraint(customer, customer._meta.constraints[0])
    delete_everywhere(pg)

    assert recorded(pg) == []


def test_partitions__that_go(pg: str, customer: Any) -> None:
    """TRUNCATE of the table is refused. Nothing sees a partition that is truncated, detached or dropped."""
    execute(pg, customer._meta.constraints[0].deleted_by_row(customer, connections[pg]))
    with pytest.raises(DatabaseError, match="is refused"):
        execute(pg, "TRUNCATE buyers")
    execute(pg, "TRUNCATE buyers_low")
    execute(pg, "INSERT INTO buyers VALUES (100, 'a')")
    execute(pg, "ALTER TABLE buyers DETACH PARTITION buyers_high")
    execute(pg, "DROP TABLE buyers_high")

    assert recorded(pg) == []


def test_session__of_replication(pg: str, servers: Servers) -> None:
    """A session with `session_replication_role = replica` fires no trigger, as it checks no foreign key.

    So a subscriber of logical replication gets each tombstone once, from the owner.
    """
    customer = parents()
    with scratch_tables(pg, [customer]):
        stored(pg, customer, [1, 2])
        servers.ask(pg, "SET session_replication_role = replica", "DELETE FROM buyers WHERE id = 1")
        servers.ask(pg, "DELETE FROM buyers WHERE id = 2")

        assert recorded(pg) == ["2"]
