"""`migrate` and `wait_migrated` on real servers, PostgreSQL and MySQL: owners, locks, waits and limits."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker
from tests.integration.conftest import APP, environment, manage
from tests.support.connected import connected
from tests.support.servers import Servers

from config.databases import topology
from switchyard.migrations import pending
from switchyard.migrations._lock import migration_lock
from switchyard.routing import allow_writes

pytestmark = pytest.mark.docker

type Connect = Callable[..., AbstractContextManager[None]]
type Write = Callable[[str, dict[str, str]], None]

TABLES = {
    "default": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    "analytics": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    "legacy": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
}
OWNED = {
    "default": {
        *("accounts_user", "accounts_user_groups", "accounts_user_user_permissions", "auth_group"),
        *("auth_group_permissions", "auth_permission", "django_admin_log", "django_content_type", "django_session"),
        "switchyard_tombstone",
    },
    "analytics": {"analytics_analyticsevent", "reporting_analyticsreport"},
    "legacy": {"customers", "orders"},
}
ONE_OF = {"default": "accounts", "analytics": "analytics", "legacy": "legacy"}


def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    """Start manage.py, and read its stderr line by line."""
    return subprocess.Popen(
        [sys.executable, str(APP / "manage.py"), *arguments],
        env=environment(**environ),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture
def as_migrator(servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Connect]:
    """Return a block in which this process connects as `migrator`; its argument is added to the URL of an alias."""

    def connect(**queries: str) -> AbstractContextManager[None]:
        urls = {f"DATABASE_{a.upper()}_URL": servers.url(a, "migrator") + queries.get(a, "") for a in servers.by_alias}
        return connected(topology(urls, data_dir=tmp_path).databases)

    with django_db_blocker.unblock():
        yield connect


@pytest.mark.parametrize("alias", OWNED)
def test_migrate_all__tables(servers: Servers, alias: str) -> None:
    """Each server has exactly the tables of the apps that its alias owns, and only their rows."""
    tables = {name for (name,) in servers.ask(alias, TABLES[alias])}
    apps = {name for (name,) in servers.ask(alias, "SELECT DISTINCT app FROM django_migrations")}

    assert tables == OWNED[alias] | {"django_migrations"}
    assert (
        apps
        == {
            "default": {"accounts", "admin", "auth", "contenttypes", "sessions"},
            "analytics": {"analytics", "reporting"},
            "legacy": {"legacy"},
        }[alias]
    )


def test_migrate_all__standby(servers: Servers) -> None:
    """The standby has its owner's tables and rows, by replication."""
    rows = "SELECT app, name FROM django_migrations ORDER BY id"
    servers.caught_up()

    assert servers.ask("replica", rows) == servers.ask("default", rows)


def test_migrate_all__replica_of_a_server(servers: Servers) -> None:
    """`migrate --database=replica` is refused without a query to the standby."""
    process = manage("migrate", "--database=replica", **servers.environ("migrator"))

    assert process.returncode == 3
    assert "migrate --database=default" in process.stderr


@pytest.mark.parametrize("alias", ["default", "legacy"])
def test_migrate__two_at_once(servers: Servers, as_migrator: Connect, alias: str) -> None:
    """The second run waits for the first run and says so; then it runs."""
    with as_migrator(), allow_writes(alias, reason="migrate"), migration_lock(connections[alias], report=print):
        second = start("migrate", f"--database={alias}", **servers.environ("migrator"))
        assert second.stderr is not None
        assert second.stderr.readline() == f"Waiting for another migrate of '{alias}' to end.\n"
        assert second.poll() is None

    with second:
        assert second.wait(timeout=60) == 0, second.stderr.read()


@pytest.mark.parametrize("alias", ["analytics", "legacy"])
def test_migrate__server_starts_later(servers: Servers, alias: str) -> None:
    """With --wait the command waits for a server that does not run yet, and says why."""
    with servers.stopped(alias):
        waiting = start("migrate", f"--database={alias}", "--wait", "60", **servers.environ("migrator"))
        assert waiting.stderr is not None
        line = waiting.stderr.readline()
        assert line.startswith(f"Waiting for the server of '{alias}': ")
        assert "127.0.0.1" in line

    with waiting:
        assert waiting.wait(timeout=60) == 0, waiting.stderr.read()


def test_migrate__server_away(servers: Servers) -> None:
    """Without --wait a server that is down is an error of one line."""
    with servers.stopped("analytics"):
        process = manage("migrate", "--database=analytics", **servers.environ("migrator"))

    assert process.returncode == 1
    assert process.stderr.startswith("CommandError: The server of 'analytics' cannot be used: ")


@pytest.mark.parametrize("alias", ["analytics", "legacy"])
def test_migrate__wrong_password(servers: Servers, alias: str) -> None:
    """A wrong password is an error at once, however long --wait is, and the error does not show the password."""
    environ = {name: url.replace(":%", ":wrong-pw-%") for name, url in servers.environ("migrator").items()}

    begun = time.monotonic()
    process = manage("migrate", f"--database={alias}", "--wait", "600", **environ)

    assert process.returncode == 1
    assert time.monotonic() - begun < 60
    assert "cannot be used" in process.stderr
    assert "wrong-pw" not in process.stderr


@pytest.mark.parametrize(
    ("alias", "sleep", "limit"),
    [("analytics", "SELECT pg_sleep(2)", "?statement_timeout=1"), ("legacy", "DO SLEEP(3)", "?read_timeout=1")],
)
def test_migrate__longer_than_a_request_may_take(
    as_migrator: Connect, write_migrations: Write, alias: str, sleep: str, limit: str
) -> None:
    """The time limits of statements hold for the service, not for its migrations."""
    app = ONE_OF[alias]
    slow = f"operations = [migrations.RunSQL({sleep!r}, migrations.RunSQL.noop)]"
    write_migrations(
        app,
        {"0001_initial": "operations = []", "0002_slow": f"dependencies = [('{app}', '0001_initial')]\n{slow}"},
    )

    with as_migrator(**{alias: limit}):
        call_command("migrate", database=alias, verbosity=0)
        assert pending(alias) == []
        call_command("migrate", app, "0001", database=alias, verbosity=0)
        assert pending(alias) == [f"{app}.0002_slow"]


@pytest.mark.parametrize("alias", ["default", "legacy"])
def test_case_16__operations_of_another_owner(
    as_migrator: Connect, write_migrations: Write, servers: Servers, alias: str
) -> None:
    """RunPython and RunSQL of an app run on its owner, see this alias, and run nowhere else."""
    write_migrations("analytics", {
        "0001_initial": "operations = []",
        "0002_mark": """
dependencies = [('analytics', '0001_initial')]
def mark(apps, schema_editor):
    schema_editor.execute(f"CREATE TABLE marked_{schema_editor.connection.alias} (id integer)")
def unmark(apps, schema_editor):
    schema_editor.execute(f"DROP TABLE marked_{schema_editor.connection.alias}")
operations = [
    migrations.RunPython(mark, unmark),
    migrations.RunSQL('CREATE TABLE marked_by_sql (id integer)', 'DROP TABLE marked_by_sql'),
]
""",
    })  # fmt: skip

    with as_migrator():
        call_command("migrate", database=alias, verbosity=0)
        call_command("migrate", database="analytics", verbosity=0)
        made = {other: {name for (name,) in servers.ask(other, TABLES[other])} - OWNED[other] for other in OWNED}
        call_command("migrate", "analytics", "0001", database="analytics", verbosity=0)

    assert made["analytics"] == {"django_migrations", "marked_analytics", "marked_by_sql"}
    assert made[alias] == {"django_migrations"}
    assert {name for (name,) in servers.ask("analytics", TABLES["analytics"])} - OWNED["analytics"] == {
        "django_migrations"
    }


def test_wait_migrated__standby_behind(servers: Servers) -> None:
    """The command waits for a standby without its owner's migrations, no longer than the given time."""
    servers.ask("default", "DELETE FROM django_migrations WHERE app = 'sessions'")
    servers.caught_up()
    with servers.held_back():
        servers.ask(
            "default", "INSERT INTO django_migrations (app, name, applied) VALUES ('sessions', '0001_initial', now())"
        )
        behind = manage("wait_migrated", "--replica-timeout", "1", **servers.environ())
    servers.caught_up()
    caught_up = manage("wait_migrated", "--replica-timeout", "1", **servers.environ())

    assert (behind.returncode, caught_up.returncode) == (0, 0)
    assert "replica: 1 to migrate, first sessions.0001_initial" in behind.stdout
    assert "Not waiting any longer for replica." in behind.stdout
    assert caught_up.stdout == "Every database is migrated.\n"


def test_wait_migrated__owner_away(servers: Servers) -> None:
    """The command waits without limit for a required owner, and does not wait for an optional owner."""
    optional = {**servers.environ(), "DATABASE_LEGACY_REQUIRED": "false"}
    with servers.stopped("legacy"):
        without = manage("wait_migrated", **optional)
        waiting = subprocess.Popen(
            [sys.executable, str(APP / "manage.py"), "wait_migrated"],
            env=environment(**servers.environ()),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert waiting.stdout is not None
        line = waiting.stdout.readline()
        assert line.startswith("legacy: cannot be read: ")
        assert "127.0.0.1" in line

    with waiting:
        assert waiting.wait(timeout=60) == 0
        # While the server starts, the reason may change, with a line for each.
        assert waiting.stdout.read().endswith("legacy: migrated\nEvery database is migrated.\n")
    assert without.returncode == 0, without.stdout
