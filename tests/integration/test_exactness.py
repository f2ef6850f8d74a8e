"""Any order of calls, transactions, threads and connections: the counters are those of the servers.

What is called is in `tests/support/random_load.py`, what each call counts in `tests/support/driver_calls.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from pytest_django.plugin import DjangoDbBlocker
from tests.integration.conftest import manage
from tests.support.driver_calls import BY_ALIAS, ROWS, execute
from tests.support.random_load import Load
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import declared

from switchyard.routing.session.context import activate, task_context
from switchyard.telemetry import count, metrics
from switchyard.telemetry.layout import OTHER

pytestmark = pytest.mark.docker

NO_AUTOVACUUM = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%')"
SETTINGS = settings(
    max_examples=30,
    stateful_step_count=20,
    phases=[Phase.generate],  # a smaller example would take minutes
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(params=["postgresql", "mysql", "mariadb"])
def side(
    request: pytest.FixtureRequest, servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> Iterator[tuple[Servers, str]]:
    """The servers, and an alias on a server of the vendor: nobody else calls it, and it has rows."""
    among, alias = servers, "analytics" if request.param == "postgresql" else "legacy"
    if request.param == "mariadb":
        pair: Servers = request.getfixturevalue("mariadb_pair")
        among = Servers(servers.network, {**servers.by_alias, "legacy": pair.by_alias["legacy"]})
        migrated = manage("migrate_all", **among.environ("migrator"))
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    with django_db_blocker.unblock(), declared(among, tmp_path, READ_ONLY=[]), activate(task_context()):
        for _ in range(ROWS):
            execute(connections[alias])
        connections[alias].close()
        with quiet(among, alias):
            yield among, alias


@contextmanager
def quiet(servers: Servers, alias: str) -> Iterator[None]:
    """Keep a PostgreSQL from transactions of its own, which pg_stat_database counts."""
    if alias != "analytics":
        yield
        return
    servers.ask(alias, "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
    try:
        until(lambda: servers.says(alias, NO_AUTOVACUUM), "no process of autovacuum runs")
        yield
    finally:
        servers.ask(alias, "ALTER SYSTEM RESET autovacuum", "SELECT pg_reload_conf()")


@pytest.fixture
def load(side: tuple[Servers, str]) -> type[Load]:
    """Programs on the alias."""
    servers, alias = side
    ways = [call for call in BY_ALIAS[alias] if not call.commits]
    return type("LoadOfOneAlias", (Load,), {"servers": servers, "alias": alias, "ways": ways})


def test_exactness__of_any_load(load: type[Load]) -> None:
    """Queries, rows, transactions, connections and errors are what the server counts, in any order of calls."""
    run_state_machine_as_test(load, settings=SETTINGS)


def past_django(sql: str) -> Callable[[BaseDatabaseWrapper], None]:
    """Return a call of the driver's own cursor, which no counter counts."""

    def run(connection: BaseDatabaseWrapper) -> None:
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute(sql)

    return run


# What only one side counts, and once.
ONE_MORE: Mapping[str, Callable[[BaseDatabaseWrapper], None]] = {
    "query of the counters": lambda connection: count(metrics.QUERIES, connection.alias, "read", OTHER),
    "row of the counters": lambda connection: count(metrics.ROWS, connection.alias, "returned"),
    "transaction of the counters": lambda connection: count(metrics.TRANSACTIONS, connection.alias, "commit"),
    "connection of the counters": lambda connection: count(metrics.CONNECTIONS_OPENED, connection.alias),
    "statement of the server": past_django("SELECT 1"),
}


def test_exactness__one_more(load: type[Load]) -> None:
    """The comparison fails if one side counts one more than the other."""
    unnoticed = []
    for name, count_one in {"nothing": lambda _connection: None, **ONE_MORE}.items():
        program = load()
        program.call(0)
        count_one(program.connection)
        with suppress(AssertionError):
            program.teardown()
            unnoticed.append(name)

    assert unnoticed == ["nothing"]
