"""Fixtures of the tests on real servers. The servers start once for each run, when the first test asks for them.

`servers` are the four servers, migrated; `servers.environ()` is for a service that a test starts as another process.
`real_databases` connects this process to them for one test, as user `app`, with empty tables. It makes no test
database, because a standby follows the database of its primary. Tests with these fixtures are marked `docker`.
`two_standbys` and `mysql_pair` are the same servers and one replica more, which `servers` does not name. `watched` and
`watched_two` connect this process to them, with empty tables, a running monitor and only fit replicas. `three_owners`
are other servers, one of each vendor.
`tests/support/README.md` has an example.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.replicas import start_mariadb, start_mariadb_replica, start_mysql_replica
from tests.support.servers import Servers, four_servers, network_of_servers
from tests.support.service import SECRETS
from tests.support.vendors import MARIADB, MYSQL, POSTGRESQL
from tests.support.watching import declared, monitored
from tests.support.written import write_migrations

from config.databases import topology
from switchyard.routing.monitor import monitor
from switchyard.routing.session.context import activate, task_context

__all__ = ["write_migrations"]  # a fixture for test_migrate.py

APP = Path(__file__).resolve().parents[2] / "app"

# A shell starts background jobs with SIGINT ignored, and the processes that tests start would ignore the signal too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def environment(**environ: str) -> dict[str, str]:
    """Return the environment for a process of the service: these variables replace all DATABASE_* variables."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DATABASE_")}
    return {**SECRETS, **inherited, **environ}


def manage(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py in another process, and wait for its end."""
    return subprocess.run(
        [sys.executable, str(APP / "manage.py"), *arguments],
        env=environment(**environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="session", autouse=True)
def _no_monitor() -> None:
    """Stop the monitor that the import of the application started on other databases: tests start their own."""
    monitor.stop()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The four servers, migrated. The test is skipped without a Docker engine or an image."""
    with four_servers() as started:
        migrated = manage("migrate_all", **started.environ("migrator"))
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
        started.caught_up()
        yield started


@pytest.fixture
def real_databases(servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """The four servers, empty, behind the aliases of this process. No monitor runs."""
    servers.clean()
    servers.caught_up()
    databases = topology(servers.environ(), data_dir=tmp_path).databases
    # A context of its own, so that no test has the requirements of another test.
    with django_db_blocker.unblock(), connected(databases), activate(task_context()):
        yield servers


@pytest.fixture(scope="session")
def two_standbys(servers: Servers) -> Iterator[Servers]:
    """The four servers and `replica2`, a second standby of `default`."""
    with servers.beside() as more:
        more.start_standby("replica2", of="default")
        more.answers("replica2")
        more.caught_up("replica2")
        yield more


@pytest.fixture(scope="session")
def mysql_pair(servers: Servers) -> Iterator[Servers]:
    """The four servers and `legacyreplica`, a GTID replica of `legacy`."""
    with servers.beside() as more:
        start_mysql_replica(more, "legacyreplica", of="legacy")
        more.caught_up("legacyreplica")
        yield more


@pytest.fixture(scope="session")
def mariadb_pair() -> Iterator[Servers]:
    """A MariaDB `legacy` and its GTID replica `legacyreplica`, without tables. The test is skipped without an image."""
    with network_of_servers(MARIADB) as started:
        start_mariadb(started, "legacy")
        start_mariadb_replica(started, "legacyreplica", of="legacy")
        started.caught_up("legacyreplica")
        yield started


@pytest.fixture(scope="session")
def three_owners() -> Iterator[Servers]:
    """An owner of each vendor, `postgresql`, `mysql` and `mariadb`, with the roles of the chart and without tables."""
    with network_of_servers(POSTGRESQL, MYSQL, MARIADB) as started:
        started.start_postgres("postgresql")
        started.start_mysql("mysql")
        start_mariadb(started, "mariadb")
        for alias in started.by_alias:
            started.answers(alias)
        yield started


@pytest.fixture
def watched(mysql_pair: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """The four servers and `legacyreplica`, empty and monitored; `legacy` takes writes.

    The test has a consistency state of its own.
    """
    mysql_pair.clean()
    for alias in ("replica", "legacyreplica"):
        mysql_pair.caught_up(alias)
    with (
        django_db_blocker.unblock(),
        declared(mysql_pair, tmp_path, READ_ONLY=[]),
        monitored(),
        activate(task_context()),
    ):
        yield mysql_pair


@pytest.fixture
def watched_two(two_standbys: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """The four servers and `replica2`, empty and monitored. The test has a consistency state of its own."""
    two_standbys.clean()
    for alias in ("replica", "replica2"):
        two_standbys.caught_up(alias)
    with django_db_blocker.unblock(), declared(two_standbys, tmp_path), monitored(), activate(task_context()):
        yield two_standbys
