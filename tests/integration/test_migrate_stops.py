"""A `migrate` that is stopped, killed or locked out in the middle of a migration, on PostgreSQL and MySQL."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent, indent
from typing import NamedTuple

import pytest
from tests.integration.conftest import APP, environment
from tests.support.engine import UnavailableError
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import MYSQL, POSTGRESQL
from tests.support.waiting import until

pytestmark = pytest.mark.docker

MAY_RETRY, DO_NOT_RETRY = 1, 3


class Side(NamedTuple):
    """One vendor: an owner with an app whose migrations the test writes."""

    alias: str
    app: str
    sleep: str  # one statement
    sessions: str  # ids of the sessions that run it
    end: str  # ends such a session
    tables: str


SIDES = [
    pytest.param(
        Side(
            "default",
            "accounts",
            "SELECT pg_sleep({0})",
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'",
            "SELECT pg_terminate_backend({0})",
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        ),
        id="postgresql",
    ),
    pytest.param(
        Side(
            "legacy",
            "legacy",
            "DO SLEEP({0})",
            "SELECT id FROM performance_schema.processlist WHERE info LIKE 'DO SLEEP%'",
            "KILL {0}",
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
        ),
        id="mysql",
    ),
]
type Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def two_servers() -> Iterator[Servers]:
    """One PostgreSQL, `default`, and one MySQL, `legacy`."""
    try:
        with network_of_servers(POSTGRESQL, MYSQL) as servers:
            servers.start_postgres("default")
            servers.start_mysql("legacy")
            for alias in servers.by_alias:
                servers.answers(alias)
            yield servers
    except UnavailableError as error:
        pytest.skip(f"real servers: {error}")


@pytest.fixture
def start(two_servers: Servers, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `migrate` of one side, whose app has two migrations: `slow` seconds, and a table.

    The first makes the table `one`, sleeps, and makes the table `two`. All databases are empty before and after.
    """
    started: list[subprocess.Popen[str]] = []

    def start(side: Side, *arguments: str, slow: float) -> subprocess.Popen[str]:
        sleep = side.sleep.format(slow)
        operations = [f"migrations.RunSQL({sql!r})" for sql in ("CREATE TABLE one (id integer)", sleep)]
        write(tmp_path, side.app, {
            "0001_slow": f"operations = [{', '.join(operations)}, migrations.RunSQL('CREATE TABLE two (id integer)')]",
            "0002_next": f"dependencies = [({side.app!r}, '0001_slow')]\n"
            "operations = [migrations.RunSQL('CREATE TABLE three (id integer)')]",
        })  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, str(APP / "manage.py"), "migrate", side.app, f"--database={side.alias}", *arguments],
            env=environment(
                **two_servers.environ("migrator"), PYTHONPATH=str(tmp_path), DJANGO_SETTINGS_MODULE="written_settings"
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
    for alias, name in (("default", "public"), ("legacy", "switchyard")):
        tables = two_servers.ask(alias, f"SELECT table_name FROM information_schema.tables WHERE table_schema='{name}'")
        for (table,) in tables:
            two_servers.ask(alias, f"DROP TABLE {table}")


def write(directory: Path, app: str, bodies: dict[str, str]) -> None:
    """Write settings with these migrations of one app, and no dependencies of other apps."""
    package = directory / "written"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    for name, body in bodies.items():
        head = "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        (package / f"{name}.py").write_text(head + indent(body, "    ") + "\n")
    (directory / "written_settings.py").write_text(
        dedent(f"""
        from config.settings import *
        MIGRATION_MODULES = {{"accounts": None, "admin": None, "{app}": "written"}}
        SILENCED_SYSTEM_CHECKS = ["fields.E300", "fields.E307"]
        """)
    )


def tables(servers: Servers, side: Side) -> set[str]:
    """Return the tables of the owner, without `django_migrations`."""
    return {name for (name,) in servers.ask(side.alias, side.tables)} - {"django_migrations"}


def recorded(servers: Servers, side: Side) -> set[str]:
    """Return the rows of `django_migrations`."""
    return {f"{app}.{name}" for app, name in servers.ask(side.alias, "SELECT app, name FROM django_migrations")}


def sleeps(servers: Servers, side: Side) -> bool:
    """Return True while a session of the owner runs the sleep."""
    return bool(servers.ask(side.alias, side.sessions))


def kill(process: subprocess.Popen[str], servers: Servers, side: Side) -> None:
    """Kill the process and its session; a server may take long to notice that its client is gone."""
    process.send_signal(signal.SIGSTOP)  # so that it does nothing when the session ends
    ((session,),) = servers.ask(side.alias, side.sessions)
    servers.ask(side.alias, side.end.format(session))
    until(lambda: not sleeps(servers, side), "the session has ended")
    process.kill()


@pytest.mark.parametrize("side", SIDES)
def test_migrate__sigterm_in_the_middle(two_servers: Servers, start: Start, side: Side) -> None:
    """The running migration ends and is recorded, the next one does not begin, and another start does the rest."""
    process = start(side, slow=3)
    until(lambda: sleeps(two_servers, side), "the migration sleeps")
    process.terminate()
    _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors.partition(":")[0]) == (MAY_RETRY, "CommandError"), errors
    assert recorded(two_servers, side) == {f"{side.app}.0001_slow"}
    assert tables(two_servers, side) == {"one", "two"}
    again = start(side, slow=3)
    assert again.wait(60) == 0, again.communicate()
    assert tables(two_servers, side) == {"one", "two", "three"}


@pytest.mark.parametrize("side", SIDES)
def test_migrate__two_in_the_middle_of_a_migration(two_servers: Servers, start: Start, side: Side) -> None:
    """The second one waits until the first one has ended, and finds nothing to do."""
    first = start(side, slow=20)
    until(lambda: sleeps(two_servers, side), "the migration sleeps")
    second = start(side, slow=20)

    printed, errors = second.communicate(timeout=60)

    assert first.wait(1) == 0
    assert (second.returncode, errors) == (0, f"Waiting for another migrate of '{side.alias}' to end.\n")
    assert "No migrations to apply." in printed


@pytest.mark.parametrize("side", SIDES)
def test_migrate__lock_of_a_hung_session(two_servers: Servers, start: Start, side: Side) -> None:
    """A hung `migrate` holds the lock. The error of another one names its session, and the statement that ends it."""
    hung = start(side, slow=600)
    until(lambda: sleeps(two_servers, side), "the migration sleeps")
    hung.send_signal(signal.SIGSTOP)

    waiting = start(side, "--lock-wait=1", slow=600)
    _, errors = waiting.communicate(timeout=60)

    assert waiting.returncode == MAY_RETRY
    assert f"Another migrate of '{side.alias}' has held the lock for more than 1 s: " in errors
    assert "user 'migrator'" in errors
    two_servers.ask(side.alias, errors.rpartition(": ")[2].strip())  # the statement that the message gives
    until(lambda: not sleeps(two_servers, side), "the session is ended")


def test_migrate__killed_on_postgresql(two_servers: Servers, start: Start) -> None:
    """A killed migration leaves nothing and no record; another start does all."""
    (side,) = SIDES[0].values
    killed = start(side, slow=600)
    until(lambda: sleeps(two_servers, side), "the migration sleeps")
    kill(killed, two_servers, side)

    again = start(side, slow=0)

    assert again.wait(60) == 0, again.communicate()
    assert tables(two_servers, side) == {"one", "two", "three"}


def test_migrate__killed_on_mysql(two_servers: Servers, start: Start) -> None:
    """A killed migration leaves its mark: another start says what to check; cleaned and cleared, it does all."""
    (side,) = SIDES[1].values
    killed = start(side, slow=600)
    until(lambda: sleeps(two_servers, side), "the migration sleeps")
    kill(killed, two_servers, side)

    refused = start(side, slow=0)
    _, errors = refused.communicate(timeout=60)

    assert refused.returncode == DO_NOT_RETRY
    assert "'legacy.0001_slow' is half applied on 'legacy'" in errors
    assert "MySQL does not roll it back" in errors
    assert tables(two_servers, side) == {"one"}
    two_servers.ask(side.alias, "DROP TABLE one")
    cleared = start(side, "--clear-mark=legacy.0001_slow", slow=0)
    assert cleared.wait(60) == 0, cleared.communicate()
    assert tables(two_servers, side) == {"one", "two", "three"}
    assert recorded(two_servers, side) == {"legacy.0001_slow", "legacy.0002_next"}
