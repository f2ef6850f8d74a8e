"""Fixtures: an owner of parents on PostgreSQL, MySQL and MariaDB. A test module imports those that it uses.

The aliases of the process connect as the migrator, who makes the tables. `as_app()` runs statements as the role `app`.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.containers import PASSWORDS
from tests.support.parents import CHILD_APP, PARENT_APP, forget
from tests.support.servers import Servers
from tests.support.vendors import MySQLdb

from config.databases import topology

PG = "postgresql"
MYSQLS = ("mysql", "mariadb")
VENDORS = (PG, *MYSQLS)


@pytest.fixture
def servers(three_owners: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """The owners behind aliases of this process, as the migrator, who makes the tables."""
    environ = {"DATABASE_DEFAULT_URL": "sqlite:///default.sqlite3", **three_owners.environ("migrator")}
    databases = topology(environ, data_dir=tmp_path).databases
    with django_db_blocker.unblock(), connected(databases):
        yield three_owners


@pytest.fixture(params=VENDORS)
def alias(request: pytest.FixtureRequest, servers: Servers) -> Iterator[str]:
    """The alias of an owner, which owns the parents; without tombstones."""
    yield from owner(request.param)


@pytest.fixture
def pg(servers: Servers) -> Iterator[str]:
    """The alias of the PostgreSQL owner, which owns the parents; without tombstones."""
    yield from owner(PG)


@pytest.fixture(params=MYSQLS)
def mysql(request: pytest.FixtureRequest, servers: Servers) -> Iterator[str]:
    """The alias of an owner on MySQL or MariaDB, which owns the parents; without tombstones."""
    yield from owner(request.param)


def owner(alias: str) -> Iterator[str]:
    """Let the alias own the parents, and remove the tombstones in the end."""
    owners = {**settings.SWITCHYARD["OWNERS"], PARENT_APP: alias, CHILD_APP: "default"}
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "OWNERS": owners}):
        yield alias
        forget(alias)


def as_app(servers: Servers, alias: str, *statements: str) -> None:
    """Run the statements on a new connection of the role `app`, in one transaction."""
    address: dict[str, Any] = {"host": "127.0.0.1", "port": servers.by_alias[alias].port, "user": "app"}
    address["password"] = PASSWORDS["app"]
    connection: Any = (
        psycopg.connect(**address, dbname="switchyard")
        if alias == PG
        else MySQLdb.connect(**address, database="switchyard")
    )
    with closing(connection), closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
