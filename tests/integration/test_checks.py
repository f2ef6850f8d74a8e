"""The system check that asks servers whether an owner with replicas keeps positions."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.containers import PASSWORDS
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import MYSQL, ROOT_PASSWORD

from config.databases import topology
from switchyard.routing.checks.databases import check_servers

pytestmark = pytest.mark.docker

WITH_REPLICAS = {"OWNERS": {"*": "default"}, "REPLICAS": {"default": ["replica"], "legacy": ["analytics"]}}


@pytest.fixture
def without_gtids() -> Iterator[Servers]:
    """A MySQL `legacy` with default settings: without GTIDs."""
    environment = {
        "MYSQL_ROOT_PASSWORD": ROOT_PASSWORD,
        "MYSQL_DATABASE": "switchyard",
        "MYSQL_USER": "app",
        "MYSQL_PASSWORD": PASSWORDS["app"],
    }
    with network_of_servers(MYSQL) as servers:
        servers.run("legacy", MYSQL, ["mysqld", "--gtid-mode=OFF"], environment=environment)
        servers.answers("legacy")
        yield servers


def test_check_servers__keep_positions(real_databases: Servers) -> None:
    """PostgreSQL always keeps positions, and MySQL with GTIDs does."""
    with override_settings(SWITCHYARD=WITH_REPLICAS):
        assert check_servers(databases=["default", "replica", "legacy"]) == []


def test_check_servers__without_gtids(
    without_gtids: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> None:
    """The check names a MySQL without GTIDs, and the setting to change; without replicas it finds nothing."""
    files = {f"DATABASE_{name}_URL": f"sqlite:///{name}.sqlite3" for name in ("DEFAULT", "ANALYTICS")}
    environ = files | without_gtids.environ()
    with django_db_blocker.unblock(), connected(topology(environ, data_dir=tmp_path).databases):
        with override_settings(SWITCHYARD=WITH_REPLICAS):
            (found,) = check_servers(databases=["legacy"])
        with override_settings(SWITCHYARD={**WITH_REPLICAS, "REPLICAS": {}}):
            assert check_servers(databases=["legacy"]) == []

    assert found.id == "switchyard.W005"
    assert "'legacy' keeps no positions" in found.msg
    assert "gtid_mode=ON" in str(found.hint)
