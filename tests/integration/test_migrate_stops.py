"""A `migrate` that is stopped, killed or locked out in the middle of a migration, on each vendor."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections
from django.db.migrations.recorder import MigrationRecorder
from pytest_django.plugin import DjangoDbBlocker
from tests.integration.conftest import APP, environment
from tests.support.connected import connected
from tests.support.replicas import start_mariadb
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import MARIADB, MYSQL, POSTGRESQL, Vendor
from tests.support.waiting import until

from config.databases import topology

pytestmark = pytest.mark.docker

MAY_RETRY, DO_NOT_RETRY = 1, 3
APPS = "analytics,reporting,legacy"  # all apps of the service are on the one server


class Side(NamedTuple):
    """One vendor: its server, and how to see and end the session of a migration that sleeps."""

    vendor: Vendor
    start: Callable[[Servers], None]
    sleep: str  # one statement
    sessions: str  # ids of the sessions that run it
    end: str  # ends such a session
    tables: str


SIDES = {
    "postgresql": Side(
        POSTGRESQL,
        lambda servers: servers.start_postgres("default"),
        "SELECT pg_sleep({0})",
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'",
        "SELECT pg_terminate_backend({0})",
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    ),
    "mysql": Side(
        MYSQL,
        lambda servers: servers.start_mysql("default"),
        "DO SLEEP({0})",
        "SELECT id FROM performance_schema.processlist WHERE info LIKE 'DO SLEEP%'",
        "KILL {0}",
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
    ),
}
SIDES["mariadb"] = SIDES["mysql"]._replace(
    vendor=MARIADB,
    start=lambda servers: start_mariadb(servers, "default"),
    sessions="SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'",
)
type Start = Callable[..., subprocess.Popen[str]]
type Write = Callable[[str, dict[str, str]], None]


@pytest.fixture(scope="module", params=SIDES)
def side(request: pytest.FixtureRequest) -> Side:
    """One vendor."""
    return SIDES[request.param]


@pytest.fixture(scope="module")
def server(side: Side) -> Iterator[Servers]:
    """One empty server of the vendor, `default`."""
    with network_of_servers(side.vendor) as servers:
        side.start(servers)
        servers.answers("default")
        yield servers


@pytest.fixture
def start(server: Servers, side: Side, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `migrate` of `analytics`, which has two migrations.

    The first one makes the table `one`, sleeps for `slow` seconds, and makes the table `two`; the second one makes the
    table `three`. The database is empty before and after.
    """
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, slow: float) -> subprocess.Popen[str]:
        statements = ("CREATE TABLE one (id integer)", side.sleep.format(slow), "CREATE TABLE two (id integer)")
        write(tmp_path, {
            "0001_slow": f"operations = [{', '.join(f'migrations.RunSQL({sql!r})' for sql in statements)}]",
            "0002_next": "dependencies = [('analytics', '0001_slow')]\n"
            "operations = [migrations.RunSQL('CREATE TABLE three (id integer)')]",
        })  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, str(APP / "manage.py"), "migrate", "analytics", *arguments],
            env=environment(
                **server.environ("migrator"),
                DATABASE_DEFAULT_APPS=APPS,
                PYTHONPATH=str(tmp_path),
                DJANGO_SETTINGS_MODULE="written_settings",
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    for table in tables(server, side) | {"django_migrations"}:
        server.ask("default", f"DROP TABLE {table}")


def write(directory: Path, bodies: dict[str, str]) -> None:
    """Write settings with these migrations of `analytics`."""
    package = directory / "written"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    for name, body in bodies.items():
        head = "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        (package / f"{name}.py").write_text(head + indent(body, "    ") + "\n")
    settings = "from config.settings import *\nMIGRATION_MODULES = {'analytics': 'written'}\n"
    (directory / "written_settings.py").write_text(settings)


def tables(server: Servers, side: Side) -> set[str]:
    """Return the tables of the database, without `django_migrations`."""
    return {name for (name,) in server.ask("default", side.tables)} - {"django_migrations"}


def recorded(server: Servers) -> set[str]:
    """Return the rows of `django_migrations`."""
    return {f"{app}.{name}" for app, name in server.ask("default", "SELECT app, name FROM django_migrations")}


def sleeps(server: Servers, side: Side) -> bool:
    """Return True while a session runs the sleep."""
    return bool(server.ask("default", side.sessions))


def kill(process: subprocess.Popen[str], server: Servers, side: Side) -> None:
    """Kill the process and its session; a server may take long to notice that its client is gone."""
    process.send_signal(signal.SIGSTOP)  # so that it does nothing when the session ends
    ((session,),) = server.ask("default", side.sessions)
    server.ask("default", side.end.format(session))
    until(lambda: not sleeps(server, side), "the session has ended")
    process.kill()


def test_migrate__sigterm_in_the_middle(server: Servers, side: Side, start: Start) -> None:
    """The running migration ends and is recorded, the next one does not begin, and another start does the rest."""
    process = start(slow=3)
    until(lambda: sleeps(server, side), "the migration sleeps")
    process.terminate()
    _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors.partition(": the running")[0]) == (
        MAY_RETRY,
        "CommandError: Stopped by SIGTERM",
    )
    assert recorded(server) == {"analytics.0001_slow"}
    assert tables(server, side) == {"one", "two"}
    again = start(slow=3)
    assert again.wait(60) == 0, again.communicate()
    assert tables(server, side) == {"one", "two", "three"}


def test_migrate__two_in_the_middle_of_a_migration(server: Servers, side: Side, start: Start) -> None:
    """The second one waits until the first one has ended, and finds nothing to do."""
    first = start(slow=20)
    until(lambda: sleeps(server, side), "the migration sleeps")
    second = start(slow=20)

    printed, errors = second.communicate(timeout=60)

    assert first.wait(10) == 0
    assert (second.returncode, errors) == (0, "Waiting for another migrate of 'default' to end.\n")
    assert "No migrations to apply." in printed


def test_migrate__lock_of_a_hung_process(server: Servers, side: Side, start: Start) -> None:
    """A hung `migrate` holds the lock. The error of another one names its session, and the statement that ends it."""
    hung = start(slow=600)
    until(lambda: sleeps(server, side), "the migration sleeps")
    hung.send_signal(signal.SIGSTOP)

    waiting = start("--lock-wait=1", slow=600)
    _, errors = waiting.communicate(timeout=60)

    assert waiting.returncode == MAY_RETRY
    assert "Another migrate of 'default' has held the lock for more than 1 s: " in errors
    assert "user 'migrator'" in errors
    server.ask("default", errors.rpartition(": ")[2].strip())  # the statement that the message gives
    until(lambda: not sleeps(server, side), "the session is ended")


@pytest.mark.parametrize("side", ["postgresql"], indirect=True)
def test_migrate__killed_and_rolled_back(server: Servers, side: Side, start: Start) -> None:
    """A killed migration leaves nothing and no record; another start does all."""
    killed = start(slow=600)
    until(lambda: sleeps(server, side), "the migration sleeps")
    kill(killed, server, side)

    assert (tables(server, side), recorded(server)) == (set(), set())
    again = start(slow=0)
    assert again.wait(60) == 0, again.communicate()
    assert tables(server, side) == {"one", "two", "three"}


@pytest.mark.parametrize("side", ["mysql", "mariadb"], indirect=True)
def test_migrate__killed_and_marked(server: Servers, side: Side, start: Start) -> None:
    """A killed migration leaves its mark: another start says what to check; cleaned and cleared, it does all."""
    killed = start(slow=600)
    until(lambda: sleeps(server, side), "the migration sleeps")
    kill(killed, server, side)

    refused = start(slow=0)
    _, errors = refused.communicate(timeout=60)

    assert refused.returncode == DO_NOT_RETRY
    assert "'analytics.0001_slow' is half applied on 'default'" in errors
    assert "does not roll it back" in errors
    assert tables(server, side) == {"one"}
    server.ask("default", "DROP TABLE one")
    cleared = start("--clear-mark=analytics.0001_slow", slow=0)
    assert cleared.wait(60) == 0, cleared.communicate()
    assert tables(server, side) == {"one", "two", "three"}
    assert recorded(server) == {"analytics.0001_slow", "analytics.0002_next"}


@pytest.mark.parametrize("side", ["mysql", "mariadb"], indirect=True)
def test_migrate__first_statement_fails(server: Servers, side: Side, start: Start) -> None:
    """A migration whose first statement fails has changed nothing: it has no mark, and another start may succeed."""
    server.ask("default", "CREATE TABLE one (id integer)")  # the statement of the migration fails

    refused = start(slow=0)
    refused.communicate(timeout=60)
    server.ask("default", "DROP TABLE one")
    again = start(slow=0)

    assert refused.returncode == DO_NOT_RETRY
    assert again.wait(60) == 0, again.communicate()


@pytest.fixture
def analytics(server: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[None]:
    """Connect this process to the server as `analytics`. The database has no table of migrations afterwards."""
    url = server.url("default", "migrator")
    urls = {"DATABASE_DEFAULT_URL": f"sqlite:///{tmp_path}/none", "DATABASE_ANALYTICS_URL": url}
    with django_db_blocker.unblock(), connected(topology(urls, data_dir=tmp_path).databases):
        yield
    server.ask("default", "DROP TABLE IF EXISTS django_migrations")


@pytest.mark.parametrize("side", ["postgresql"], indirect=True)
def test_migrate__record_and_tables_are_one_transaction(analytics: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration whose record fails has made no table, though its foreign keys and indexes come after its tables."""

    def fail(_recorder: object, app: str, name: str) -> None:
        raise DatabaseError(f"no record of {app}.{name}")

    monkeypatch.setattr(MigrationRecorder, "record_applied", fail)

    with pytest.raises(DatabaseError, match=r"no record of analytics\.0001_initial"):
        call_command("migrate", database="analytics", verbosity=0)

    assert connections["analytics"].introspection.table_names() == ["django_migrations"]


@pytest.mark.parametrize("side", ["postgresql"], indirect=True)
def test_migrate__index_that_stays_invalid(server: Servers, analytics: None, write_migrations: Write) -> None:
    """A statement that fails and leaves something keeps its mark; the next start says what to check."""
    server.ask(
        "default",
        "CREATE TABLE twice AS SELECT 1 AS id FROM generate_series(1, 2)",
        "ALTER TABLE twice OWNER TO owner",
    )
    index = "CREATE UNIQUE INDEX CONCURRENTLY twice_id ON twice (id)"
    write_migrations("analytics", {"0001_index": f"atomic = False\noperations = [migrations.RunSQL({index!r})]"})
    with pytest.raises(DatabaseError, match="could not create unique index"):
        call_command("migrate", "analytics", database="analytics", verbosity=0)

    with pytest.raises(CommandError, match=r"'analytics\.0001_index' is half applied on 'analytics'") as raised:
        call_command("migrate", "analytics", database="analytics", verbosity=0)

    assert raised.value.returncode == DO_NOT_RETRY
    assert server.says("default", "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'twice_id'::regclass")
    server.ask("default", "DROP TABLE twice")
    call_command(
        "migrate", "analytics", "zero", fake=True, clear_mark="analytics.0001_index", database="analytics", verbosity=0
    )
