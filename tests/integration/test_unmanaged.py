"""An owner whose tables others make, with a user to whom the server refuses every change."""

import json
import time
from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest
from tests.integration.conftest import manage
from tests.support.servers import Servers
from tests.support.vendors import ROOT_PASSWORD

pytestmark = pytest.mark.docker

READYZ = (
    "from django.test import Client; from legacy.models import Customer\n"
    "response = Client(headers={'host': 'localhost'}).get('/readyz')\n"
    "print(response.status_code, response.json()['aliases'], Customer.objects.count())"
)


class Reader(NamedTuple):
    """How a vendor makes the database, its tables, and a user that may only read."""

    alias: str
    scheme: str
    before: tuple[str, ...]
    inside: tuple[str, ...]
    after: tuple[str, ...]


TABLES = (
    "CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(200), email varchar(254), created_at timestamp)",
    "INSERT INTO customers VALUES (1, 'Ada', 'ada@example.com', '2026-01-01 00:00:00')",
    "CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, placed_at timestamp, total_cents bigint)",
)
POSTGRESQL = Reader(
    alias="analytics",
    scheme="postgres",
    before=(
        "CREATE DATABASE older",
        "CREATE ROLE reader LOGIN PASSWORD 'reads'",
        "ALTER ROLE reader SET default_transaction_read_only = on",
    ),
    inside=(*TABLES, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"),
    after=("DROP DATABASE older WITH (FORCE)", "DROP ROLE reader"),
)
MYSQL = Reader(
    alias="legacy",
    scheme="mysql",
    before=("CREATE DATABASE older", "CREATE USER reader IDENTIFIED BY 'reads'", "GRANT SELECT ON older.* TO reader"),
    inside=("USE older", *TABLES),
    after=("DROP DATABASE older", "DROP USER reader"),
)


@pytest.fixture(params=[POSTGRESQL, MYSQL], ids=lambda reader: reader.scheme)
def environ(servers: Servers, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The variables of a service whose `legacy` is such an owner; its `default` is migrated."""
    reader: Reader = request.param
    server = servers.by_alias[reader.alias]
    servers.ask(reader.alias, *reader.before)
    try:
        if reader is POSTGRESQL:
            with psycopg.connect(
                f"postgresql://postgres:{ROOT_PASSWORD}@127.0.0.1:{server.port}/older", autocommit=True
            ) as connection:
                for statement in reader.inside:
                    connection.execute(statement)
        else:
            servers.ask(reader.alias, *reader.inside)
        yield {
            "DATABASE_DEFAULT_URL": servers.url("default", "migrator"),
            "DATABASE_LEGACY_URL": f"{reader.scheme}://reader:reads@127.0.0.1:{server.port}/older",
        }
    finally:
        servers.ask(reader.alias, *reader.after)


def test_unmanaged__nothing_runs_or_waits(environ: dict[str, str]) -> None:
    """Declared as unmanaged, the owner is skipped by `migrate_all`, not waited for, ready, and read."""
    environ = {**environ, "DATABASE_LEGACY_MANAGED": "false"}

    migrated = manage("migrate_all", "--json", **environ)
    begun = time.monotonic()
    waited = manage("wait_migrated", **environ)
    seconds = time.monotonic() - begun
    shown = manage("showmigrations", "--database=legacy", **environ)
    ready = manage("shell", "--no-imports", "--command", READYZ, **environ)

    assert migrated.returncode == 0, migrated.stderr
    assert {result["alias"]: result["managed"] for result in json.loads(migrated.stdout)} == {
        "default": True,
        "legacy": False,
    }
    assert (waited.stdout, seconds < 60) == ("Every database is migrated.\n", True), waited.stderr
    assert shown.stdout.startswith("'legacy' is unmanaged (SWITCHYARD['UNMANAGED'])")
    assert ready.stdout == "200 {'default': 'up', 'legacy': 'up'} 1\n", ready.stderr


def test_managed__the_server_refuses(environ: dict[str, str]) -> None:
    """Not declared, the owner fails with one line that names the setting."""
    migrated = manage("migrate_all", "--json", **environ)

    results = {result["alias"]: result["error"] for result in json.loads(migrated.stdout)}
    assert migrated.returncode == 3
    assert results["default"] == ""
    assert results["legacy"].startswith("CommandError: 'legacy' refuses the table of applied migrations: ")
    assert results["legacy"].endswith("add it to SWITCHYARD['UNMANAGED'].")
