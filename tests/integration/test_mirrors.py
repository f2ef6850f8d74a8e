"""Mirrors that share the connection of their owner, on PostgreSQL and MySQL: the project of the unit tests again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers import MYSQL, POSTGRESQL, network_of_servers
from tests.support.vendors import ROOT_PASSWORD
from tests.unit.switchyard.testing.ownproject import DJANGO, ORDERS, PYTEST, databases, passed

pytestmark = pytest.mark.docker

type Entries = Mapping[str, Mapping[str, Any]]

VENDORS = ("postgresql", "mysql")


@pytest.fixture(scope="module")
def entries() -> Iterator[Entries]:
    """DATABASES entries of a superuser, who may create databases, by vendor."""
    with network_of_servers(POSTGRESQL, MYSQL) as servers:
        servers.start_postgres("postgresql")
        servers.start_mysql("mysql")
        users = {"postgresql": "postgres", "mysql": "root"}
        for alias in users:
            servers.answers(alias)
        yield {
            alias: {
                "ENGINE": f"django.db.backends.{alias}",
                "HOST": "127.0.0.1",
                "PORT": str(servers.by_alias[alias].port),
                "NAME": "switchyard",
                "USER": user,
                "PASSWORD": ROOT_PASSWORD,
            }
            for alias, user in users.items()
        }


@pytest.mark.parametrize(("command", "order"), [(DJANGO, ORDERS[0]), (PYTEST, ORDERS[1])], ids=["django", "pytest"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_mirrors__either_runner(
    entries: Entries, tmp_path: Path, vendor: str, command: tuple[str, ...], order: tuple[str, ...]
) -> None:
    """Every test of the project passes, and the test database is destroyed at the end: no connection is left."""
    for _ in range(2):  # the second run would find leftovers of the first run
        said = passed(tmp_path, databases(entries[vendor], order), *command)

        assert "already exists" not in said
        assert "database exists" not in said


@pytest.mark.parametrize(
    ("kept", "vendor"), [((*DJANGO, "--keepdb"), "postgresql"), ((*PYTEST, "--reuse-db"), "mysql")], ids=VENDORS
)
def test_mirrors__a_kept_database(entries: Entries, tmp_path: Path, vendor: str, kept: tuple[str, ...]) -> None:
    """A kept database works as well, and has no rows of the earlier run."""
    entry = {**entries[vendor], "TEST": {"NAME": "kept"}}
    for _ in range(2):
        passed(tmp_path, databases(entry, ORDERS[0]), *kept)


@pytest.mark.parametrize(
    "settings",
    [{"OPTIONS": {"pool": True}}, {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}],
    ids=["pool", "persistent"],
)
def test_mirrors__connections_kept_for_long(entries: Entries, tmp_path: Path, settings: dict[str, Any]) -> None:
    """Pools and persistent connections belong to the owner; the mirror returns nothing to them."""
    passed(tmp_path, databases({**entries["postgresql"], **settings}, ORDERS[0]), *DJANGO)


@pytest.mark.parametrize("order", ORDERS)
def test_mirrors__parallel_workers(entries: Entries, tmp_path: Path, order: tuple[str, ...]) -> None:
    """In a parallel worker the mirror uses the worker's clone of its owner. (MySQL's clones need `mysqldump`.)"""
    said = passed(tmp_path, databases(entries["postgresql"], order), *DJANGO, "--parallel", "2")

    assert said.count("Cloning") == 2


@pytest.mark.parametrize("vendor", VENDORS)
def test_mirrors__plain_django(entries: Entries, tmp_path: Path, vendor: str) -> None:
    """Without the test runner the same tests fail, so they can find a fault."""
    plain = (*DJANGO, "-k", "InTestCase", "--testrunner", "django.test.runner.DiscoverRunner")
    with pytest.raises(AssertionError, match="DoesNotExist"):
        passed(tmp_path, databases(entries[vendor], ORDERS[0]), *plain)
