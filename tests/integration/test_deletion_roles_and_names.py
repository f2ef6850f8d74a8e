"""The triggers on real servers, whatever role deletes a parent and whatever its table and columns are called."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from django.db import connections, models
from django.utils import timezone
from tests.support.parents import KEYS, execute, parents, recorded, stored
from tests.support.recording_owners import PG, alias, as_app, mysql, pg, servers
from tests.support.scratch_tables import scratch_tables
from tests.support.servers import Servers
from tests.support.vendors import MySQLdb

from switchyard.crossdb.references.tombstones import Tombstone

pytestmark = pytest.mark.docker

__all__ = ["alias", "mysql", "pg", "servers"]  # fixtures


def quoted(alias: str, name: str) -> str:
    """Return the name, quoted for the server."""
    return connections[alias].ops.quote_name(name)


def test_role__without_a_right_to_tombstones(alias: str, servers: Servers) -> None:
    """A role that may delete parents needs no right to the table of tombstones: the trigger has its maker's rights."""
    customer = parents()
    with scratch_tables(alias, [customer]):
        stored(alias, customer, [1, 2])
        if alias == PG:
            servers.ask(alias, "REVOKE ALL ON switchyard_tombstone FROM app")
        else:
            servers.ask(
                alias, "REVOKE ALL ON switchyard.* FROM app@'%'", "GRANT SELECT, DELETE, UPDATE ON buyers TO app@'%'"
            )
        try:
            with pytest.raises(tuple(filter(None, (psycopg.Error, MySQLdb and MySQLdb.Error))), match="denied"):
                as_app(servers, alias, "SELECT * FROM switchyard_tombstone")
            as_app(servers, alias, "DELETE FROM buyers WHERE id = 1", "UPDATE buyers SET id = 9 WHERE id = 2")
        finally:
            if alias != PG:
                servers.ask(
                    alias,
                    "REVOKE ALL ON buyers FROM app@'%'",
                    "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES ON switchyard.* TO app@'%'",
                )

        assert recorded(alias) == ["1", "2"]


def test_role__of_the_service(alias: str, servers: Servers) -> None:
    """The service's role reads, changes, deletes and inserts tombstones with the rights that it has on each table."""
    with scratch_tables(alias, [parents()]):
        as_app(
            servers,
            alias,
            "INSERT INTO switchyard_tombstone (reference, parent_key, deleted_at, due_at, state, attempts, error)"
            " VALUES ('x', '1', current_timestamp, current_timestamp, 0, 0, '')",
            "SELECT * FROM switchyard_tombstone WHERE reference = 'x' FOR UPDATE SKIP LOCKED",
            "UPDATE switchyard_tombstone SET state = 1 WHERE reference = 'x'",
        )
        assert recorded(alias, "x") == ["1"]
        as_app(servers, alias, "DELETE FROM switchyard_tombstone")

        assert recorded(alias, "x") == []


@pytest.fixture
def schemas(pg: str) -> Iterator[str]:
    """PostgreSQL with the schemas `first` and `second`, where a migration finds them in this order."""
    execute(pg, "CREATE SCHEMA first")
    execute(pg, "CREATE SCHEMA second")
    execute(pg, "SET search_path = first, second")
    yield pg
    execute(pg, "RESET search_path")
    execute(pg, "DROP SCHEMA first CASCADE")
    execute(pg, "DROP SCHEMA second CASCADE")


def test_schema__of_the_parent_is_another(schemas: str) -> None:
    """A parent in another schema than the first one is recorded where the ORM looks, whatever path deletes it."""
    customer = parents(table='second"."buyers')
    with scratch_tables(schemas, [customer]):
        stored(schemas, customer, [1, 2])
        execute(schemas, "SET search_path = public")
        execute(schemas, "DELETE FROM second.buyers WHERE id = 1")
        execute(schemas, "UPDATE second.buyers SET id = 9 WHERE id = 2")
        execute(schemas, "SET search_path = first, second")

        assert recorded(schemas) == ["1", "2"]


def test_temporary_table__of_the_same_name(pg: str) -> None:
    """A temporary table `switchyard_tombstone` gets no record."""
    customer = parents()
    with scratch_tables(pg, [customer]):
        stored(pg, customer, [1])
        execute(pg, "CREATE TEMPORARY TABLE switchyard_tombstone (LIKE switchyard_tombstone INCLUDING DEFAULTS)")
        execute(pg, "DELETE FROM buyers")
        assert recorded(pg) == []  # of the temporary table
        execute(pg, "DROP TABLE pg_temp.switchyard_tombstone")

        assert recorded(pg) == ["1"]


NAMES = {
    "a word of SQL": ("order", "select", "group"),
    "a percent sign": ("50%s off", "ke%y", "chil%d"),
    "a quote": ("it's", "k'ey", "chil'dren"),
    "upper case": ("Buyers", "Key", "Children"),
    "long": ("t" * 63, "k" * 63, "c" * 63),
    "not ASCII": ("Käufer", "schlüssel", "ö" * 31),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names__that_need_quotes(alias: str, kind: str) -> None:
    """Any name of a table and of a key's column that Django can use serves."""
    table, column, child_table = NAMES[kind]
    customer = parents(models.BigAutoField(primary_key=True, db_column=column), table=table, child_table=child_table)
    name, key = quoted(alias, table), quoted(alias, column)
    with connections[alias].schema_editor() as editor:
        editor.create_model(customer)
    try:
        execute(alias, f"INSERT INTO {name} ({key}, word) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        execute(alias, f"DELETE FROM {name} WHERE {key} = 1")
        execute(alias, f"UPDATE {name} SET {key} = 9 WHERE {key} = 2")

        assert recorded(alias) == ["1", "2"]
    finally:
        execute(alias, f"DROP TABLE {name}")  # Django's schema editor drops no table with a percent sign


def test_key__of_another_character_set(mysql: str, servers: Servers) -> None:
    """The table of tombstones holds the keys of a table with more characters than the database has by default."""
    field, _keys = KEYS["text"]
    customer = parents(field)
    servers.ask(mysql, "ALTER DATABASE switchyard CHARACTER SET latin1")
    try:
        with scratch_tables(mysql, [customer]):
            execute(mysql, "ALTER TABLE buyers CONVERT TO CHARACTER SET utf8mb4")
            stored(mysql, customer, ["\u65e5\u672c", "\U0001f600"]).all().delete()

            assert sorted(recorded(mysql)) == ["\u65e5\u672c", "\U0001f600"]
    finally:
        servers.ask(mysql, "ALTER DATABASE switchyard CHARACTER SET utf8mb4")


def test_time__of_an_alias_with_a_time_zone(mysql: str) -> None:
    """A tombstone is due at once also where the alias keeps its times in a zone behind UTC."""
    customer = parents()
    with scratch_tables(mysql, [customer]):
        stored(mysql, customer, [1])
        execute(mysql, "DELETE FROM buyers")
        connections[mysql].close()
        connections.settings[mysql]["TIME_ZONE"] = "America/New_York"
        for cached in ("timezone", "timezone_name"):
            connections[mysql].__dict__.pop(cached, None)

        assert Tombstone.objects.using(mysql).filter(due_at__lte=timezone.now()).exists()


def test_key__uuid_is_read_again(mysql: str) -> None:
    """The key of a tombstone becomes the UUID again, whether the server keeps a text or a UUID."""
    field, keys = KEYS["UUID"]
    customer = parents(field)
    with scratch_tables(mysql, [customer]):
        stored(mysql, customer, keys).all().delete()

        assert {customer._meta.pk.to_python(key) for key in recorded(mysql)} == set(map(UUID, keys))
