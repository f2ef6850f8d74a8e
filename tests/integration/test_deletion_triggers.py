"""The triggers on real servers record each deletion of a parent, in its transaction, and nothing else."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, OperationalError, connections, models
from tests.support.deletion_cases import (
    test_delete__by_raw_sql,
    test_delete__by_the_orm,
    test_insert__on_conflict,
    test_rollback__leaves_nothing,
    test_update__of_other_columns,
    test_update__of_the_key,
)
from tests.support.parents import execute, parents, recorded, stored
from tests.support.recording_owners import alias, as_app, mysql, pg, servers
from tests.support.scratch_tables import scratch_tables
from tests.support.servers import Servers
from tests.support.vendors import MySQLdb

pytestmark = pytest.mark.docker

__all__ = [  # fixtures, and tests that hold for each vendor
    "alias",
    "mysql",
    "pg",
    "servers",
    "test_delete__by_raw_sql",
    "test_delete__by_the_orm",
    "test_insert__on_conflict",
    "test_rollback__leaves_nothing",
    "test_update__of_other_columns",
    "test_update__of_the_key",
]


def test_replace__records_the_replaced(mysql: str) -> None:
    """REPLACE deletes, also another row with the unique value. The worker asks whether a key exists again."""
    customer = parents(code=models.CharField(max_length=20, unique=True, null=True))
    with scratch_tables(mysql, [customer]):
        customer.objects.using(mysql).bulk_create([customer(pk=1, code="a"), customer(pk=2, code="b")])
        execute(mysql, "REPLACE INTO buyers (id, word, code) VALUES (2, '', 'a')")

        assert sorted(recorded(mysql)) == ["1", "2"]
        assert list(customer.objects.using(mysql).values_list("pk", flat=True)) == [2]


def cascade_of(alias: str) -> list[str]:
    """Delete the parent of a recorded parent, whose foreign key the server cascades; return what was recorded."""
    customer = parents(region=models.IntegerField(null=True))
    with scratch_tables(alias, [customer]):
        execute(alias, "CREATE TABLE regions (id integer PRIMARY KEY)")
        try:
            execute(
                alias,
                "ALTER TABLE buyers ADD CONSTRAINT of_region FOREIGN KEY (region) REFERENCES regions (id)"
                " ON DELETE CASCADE",
            )
            execute(alias, "INSERT INTO regions VALUES (7)")
            customer.objects.using(alias).bulk_create([customer(pk=1, region=7), customer(pk=2, region=7)])
            execute(alias, "DELETE FROM regions")
            assert not customer.objects.using(alias).exists()
            return recorded(alias)
        finally:
            execute(alias, "ALTER TABLE buyers DROP CONSTRAINT of_region")
            execute(alias, "DROP TABLE regions")


def test_cascade__of_the_server_on_postgresql(pg: str) -> None:
    """Rows that a cascade of PostgreSQL deletes are recorded."""
    assert sorted(cascade_of(pg)) == ["1", "2"]


def test_cascade__of_the_server_on_mysql(mysql: str) -> None:
    """MySQL and MariaDB fire no trigger for rows that a cascade deletes: the system checks refuse such a parent."""
    assert cascade_of(mysql) == []


def test_copy__records_nothing(pg: str) -> None:
    """COPY stores rows, which are no deletions."""
    customer = parents()
    with scratch_tables(pg, [customer]):
        with connections[pg].cursor() as cursor, cursor.copy("COPY buyers (id, word) FROM STDIN") as copy:
            copy.write("1\ta\n2\tb\n")

        assert customer.objects.using(pg).count() == 2
        assert recorded(pg) == []


@pytest.mark.parametrize("statement", ["TRUNCATE buyers", "TRUNCATE regions CASCADE"])
def test_truncate__on_postgresql(pg: str, statement: str) -> None:
    """TRUNCATE of the parents, also by a cascade, is refused with the table, the reference and the remedy."""
    customer = parents(region=models.IntegerField(null=True))
    with scratch_tables(pg, [customer]):
        execute(pg, "CREATE TABLE regions (id integer PRIMARY KEY)")
        execute(pg, "ALTER TABLE buyers ADD FOREIGN KEY (region) REFERENCES regions (id)")
        stored(pg, customer, [1])
        with pytest.raises(DatabaseError) as refused:
            execute(pg, statement)
        assert customer.objects.using(pg).count() == 1
        execute(pg, "DROP TABLE regions CASCADE")

    assert "TRUNCATE of public.buyers is refused" in str(refused.value)
    assert "orders.Order.customer" in str(refused.value)
    assert "Use DELETE" in str(refused.value)


def test_truncate__on_mysql(mysql: str, servers: Servers) -> None:
    """The service's role may not TRUNCATE the parents. A role with DROP may, and nothing records that."""
    customer = parents()
    with scratch_tables(mysql, [customer]):
        stored(mysql, customer, [1])
        with pytest.raises(MySQLdb.OperationalError, match="DROP command denied to user 'app'"):
            as_app(servers, mysql, "TRUNCATE TABLE buyers")
        execute(mysql, "TRUNCATE TABLE buyers")

        assert recorded(mysql) == []


def test_delete__of_many_rows(alias: str) -> None:
    """One statement that deletes 100,000 rows records each of them once."""
    customer = parents()
    with scratch_tables(alias, [customer]):
        rows = customer.objects.using(alias)
        rows.bulk_create([customer(pk=key) for key in range(1, 100_001)], batch_size=10_000)
        execute(alias, "DELETE FROM buyers")

        assert sorted(map(int, recorded(alias))) == list(range(1, 100_001))


def delete_or_retry(alias: str, low: int, high: int) -> None:
    """Delete the rows, again if the server gave up a deletion for another one."""
    while True:
        try:
            execute(alias, "DELETE FROM buyers WHERE id BETWEEN %s AND %s", [low, high])
        except OperationalError:  # a deadlock, or a row that another one has deleted
            continue
        return


def test_delete__by_many_at_once(alias: str) -> None:
    """Of deletions that run at the same moment each row is recorded once."""
    customer, threads = parents(), 6
    with scratch_tables(alias, [customer]):
        stored(alias, customer, range(1, 601))
        barrier = threading.Barrier(threads, timeout=30)

        def delete(thread: int) -> None:
            low = thread // 2 * 200 + 1  # two threads want each row
            try:
                for at in range(low, low + 200, 4):
                    barrier.wait()
                    delete_or_retry(alias, at, at + 3)
            except BaseException:
                barrier.abort()
                raise
            finally:
                connections[alias].close()

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(delete, range(threads)))

        assert sorted(map(int, recorded(alias))) == list(range(1, 601))
