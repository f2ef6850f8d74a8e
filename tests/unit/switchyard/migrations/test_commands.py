"""The commands as users run them: a process, its exit code and its output."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from io import StringIO
from pathlib import Path
from shutil import copy

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.core.management.commands import makemigrations as makemigrations_module
from django.db import connections
from django.db.migrations import Migration, RunSQL
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.waiting import until

from config.databases import topology
from switchyard.management.commands import makemigrations
from switchyard.management.migrate_processes import reason as reason_of
from switchyard.migrations import migrating
from switchyard.migrations._lock import migration_lock
from switchyard.migrations._patching import patched
from switchyard.migrations._per_alias import OwnedLoader

APP = Path(__file__).resolve().parents[4] / "app"


def manage(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` with these variables, and without the caller's `DATABASE_*` variables."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DATABASE_")}
    return subprocess.run(
        [sys.executable, str(APP / "manage.py"), *arguments],
        env={**inherited, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def sqlite(path: Path, sql: str) -> list[tuple[str, ...]]:
    """Run one statement on a database file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


type FirstRun = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """Run `migrate_all` in an empty directory; return both. Tests change copies of the files only."""
    directory = tmp_path_factory.mktemp("first")
    return directory, manage("migrate_all", "--json", DATA_DIR=str(directory))


def test_migrate_all__twice(first_run: FirstRun) -> None:
    """The first run migrates every owner and no replica, the second finds nothing to do."""
    directory, first = first_run
    second = manage("migrate_all", "--json", DATA_DIR=str(directory))

    results = {result["alias"]: result for result in json.loads(first.stdout)}
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert set(results) == set(settings.SWITCHYARD["OWNERS"].values()) >= {"default", "analytics", "legacy"}
    assert results["analytics"]["applied"] == [
        "analytics.0001_initial",
        "analytics.0002_event_refers_to_user",
        "reporting.0001_initial",
    ]
    assert all(result["applied"] == [] for result in json.loads(second.stdout))


def test_migrate_all__one_alias_broken(tmp_path: Path, first_run: FirstRun) -> None:
    """The other aliases are migrated, the result names the error of the broken alias, and the exit code is 3."""
    copy(first_run[0] / "default.sqlite3", tmp_path)
    (tmp_path / "analytics.sqlite3").write_text("this is no database, and long enough to be read as one" * 10)

    process = manage("migrate_all", "--json", DATA_DIR=str(tmp_path))

    results = {result["alias"]: result for result in json.loads(process.stdout)}
    assert process.returncode == 3
    assert "file is not a database" in results["analytics"]["error"]
    assert results["legacy"]["applied"] == ["legacy.0001_initial"]
    assert results["default"]["error"] == ""
    assert "Not migrated: analytics" in process.stderr


def test_migrate_all__a_migration_fails(tmp_path: Path, first_run: FirstRun) -> None:
    """A migration that the server refuses fails its alias only; the migrations before it count as applied."""
    copy(first_run[0] / "default.sqlite3", tmp_path)
    manage("migrate", "analytics", "--database=analytics", DATA_DIR=str(tmp_path))
    sqlite(tmp_path / "analytics.sqlite3", "CREATE TABLE reporting_analyticsreport (id integer)")

    process = manage("migrate_all", DATA_DIR=str(tmp_path))

    assert process.returncode == 3
    assert "already exists" in process.stderr
    assert "migrated" in process.stdout


def test_migrate__replica_as_a_process(tmp_path: Path) -> None:
    """On a replica the command fails with one line that names the owner."""
    process = manage("migrate", "--database=replica", DATA_DIR=str(tmp_path))

    assert process.returncode == 3
    assert process.stderr.strip() == (
        "CommandError: 'replica' is a replica of 'default' and gets its tables and rows from there. "
        "Run: migrate --database=default"
    )


def test_migrate_all__no_data_directory(tmp_path: Path) -> None:
    """The command makes the directory of the embedded databases."""
    process = manage("migrate_all", DATA_DIR=str(tmp_path / "not" / "there"))

    assert process.returncode == 0, process.stdout
    assert (tmp_path / "not" / "there" / "legacy.sqlite3").exists()


def test_migrate__without_the_right_to_make_the_directory(tmp_path: Path) -> None:
    """The error names the directory and the reason."""
    (tmp_path / "file").touch()

    process = manage("migrate", DATA_DIR=str(tmp_path / "file" / "data"))

    assert process.returncode == 1
    assert process.stderr.endswith(f"Its directory '{tmp_path}/file/data' cannot be made (Not a directory).\n")


URLS = {f"DATABASE_{alias.upper()}_URL": f"sqlite:///{alias}.sqlite3" for alias in ("default", "analytics", "legacy")}


@pytest.fixture(scope="module")
def not_managed(tmp_path_factory: pytest.TempPathFactory, first_run: FirstRun) -> dict[str, str]:
    """Run `migrate_all` with an unmanaged `legacy`, and return the environment of its databases."""
    environ = {
        "DATA_DIR": str(tmp_path_factory.mktemp("data")),
        **URLS,
        "DATABASE_LEGACY_MANAGED": "false",
    }
    copy(first_run[0] / "default.sqlite3", environ["DATA_DIR"])
    manage("migrate_all", **environ)
    return environ


def test_migrate_all__legacy_not_managed(not_managed: dict[str, str]) -> None:
    """With DATABASE_LEGACY_MANAGED=false the alias does not migrate, and the result says so."""
    process = manage("migrate_all", "--json", **not_managed)

    managed = {result["alias"]: result["managed"] for result in json.loads(process.stdout)}
    assert managed == {alias: alias != "legacy" for alias in ("default", "analytics", "legacy")}


def test_migrate__legacy_not_managed(not_managed: dict[str, str]) -> None:
    """`migrate` on its alias applies nothing and makes no table, not even `django_migrations`."""
    process = manage("migrate", "--database=legacy", **not_managed)

    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("'legacy' is unmanaged")
    with closing(sqlite3.connect(Path(not_managed["DATA_DIR"], "legacy.sqlite3"))) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_wait_migrated__legacy_not_managed(not_managed: dict[str, str]) -> None:
    """The command does not wait for the alias."""
    process = manage("wait_migrated", **not_managed)

    assert process.stdout == "Every database is migrated.\n"


def test_readyz__legacy_not_managed(not_managed: dict[str, str]) -> None:
    """The service is ready, though the alias has recorded no migration."""
    ask = "from django.test import Client; print(Client(headers={'host': 'localhost'}).get('/readyz').json())"

    process = manage("shell", "--no-imports", "--command", ask, **not_managed)

    assert "'status': 'ok'" in process.stdout, process.stderr


@pytest.mark.parametrize("managed", ["true", "false"])
def test_makemigrations__legacy_managed_or_not(tmp_path: Path, managed: str) -> None:
    """The migrations fit the models in both cases."""
    environ = {**URLS, "DATA_DIR": str(tmp_path), "DATABASE_LEGACY_MANAGED": managed}

    process = manage("makemigrations", "--check", "--dry-run", **environ)

    assert (process.returncode, process.stdout) == (0, "No changes detected\n"), process.stderr


@pytest.mark.parametrize("applied", [True, False])
def test_makemigrations__update(empty_databases: Path, *, applied: bool) -> None:
    """`--update` changes the last migration of an app as long as its owner, not `default`, has not applied it."""
    if applied:
        call_command("migrate", database="analytics", verbosity=0)
    command = makemigrations.Command(stdout=StringIO())
    options = {"dry_run": True, "verbosity": 1, "scriptable": False, "include_header": False, "migration_name": None}
    for name, value in {**options, "written_files": []}.items():
        setattr(command, name, value)
    change = Migration("0002_more", "reporting")
    change.operations = [RunSQL("SELECT 1")]

    with patched(makemigrations_module, MigrationLoader=OwnedLoader):
        if applied:
            with pytest.raises(CommandError, match=r"Cannot update applied migration 'reporting\.0001_initial'"):
                command.write_to_last_migration_files({"reporting": [change]})
        else:
            command.write_to_last_migration_files({"reporting": [change]})
            assert "Raw SQL operation" in command.stdout.getvalue()


def test_wait_migrated__until_the_owners_are(tmp_path: Path, first_run: FirstRun) -> None:
    """The command prints the pending migrations of each owner, and ends when all are applied."""
    copy(first_run[0] / "legacy.sqlite3", tmp_path)
    waiting = subprocess.Popen(
        [sys.executable, str(APP / "manage.py"), "wait_migrated", "--replica-timeout", "30"],
        env={**os.environ, "DATA_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with waiting:
        assert waiting.stdout is not None
        said = waiting.stdout.readline()
        assert said == "default: 20 to migrate, first contenttypes.0001_initial\n"

        manage("migrate_all", DATA_DIR=str(tmp_path))

        assert waiting.wait(timeout=30) == 0
        assert "Every database is migrated." in waiting.stdout.read()


def test_wait_migrated__replica_late(tmp_path: Path, first_run: FirstRun) -> None:
    """A replica that cannot be read ends the wait after `--replica-timeout` seconds, with exit code 0."""
    copy(first_run[0] / "default.sqlite3", tmp_path / "owner.sqlite3")
    url = f"sqlite:///{tmp_path}/owner.sqlite3"
    (tmp_path / "no_file.py").write_text(
        "from config.settings import *\n"
        "SILENCED_SYSTEM_CHECKS = ['switchyard.E015']\n"
        f"DATABASES['replica']['NAME'] = 'file:{tmp_path}/no.sqlite3?mode=ro'\n"
    )

    process = manage(
        *("wait_migrated", "--replica-timeout", "1"),
        DATABASE_DEFAULT_URL=url,
        DATABASE_REPLICA_URL=url,
        DJANGO_SETTINGS_MODULE="no_file",
        PYTHONPATH=str(tmp_path),
    )

    assert process.returncode == 0, process.stderr
    assert "replica: cannot be read" in process.stdout
    assert "Not waiting any longer for replica." in process.stdout


def test_migrate_all__table(empty_databases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a line for each owner, with its result."""
    owners = migrating()
    for alias in owners:
        call_command("migrate", database=alias, verbosity=0)

    call_command("migrate_all")

    printed = capsys.readouterr().out
    assert [alias for alias in connections if alias in printed] == owners
    assert printed.count("nothing to do") == len(owners)


def test_migrate__at_once_on_one_file(tmp_path: Path) -> None:
    """Of several `migrate` on one SQLite file, one works and the others wait for it."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(APP / "manage.py"), "migrate"],
            env={**os.environ, "DATA_DIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [process.communicate(timeout=300) for process in processes]

    assert [process.returncode for process in processes] == [0] * 4, said
    assert sum("Applying sessions.0001_initial" in output for output, _ in said) == 1


def test_migration_lock__of_a_file(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    """A second holder waits until the first one leaves its block, and says so once."""
    waits, held, order = [], threading.Event(), []

    def second() -> None:
        held.wait(10)
        with migration_lock(connections["analytics"], report=waits.append):
            order.append("second")

    with django_db_blocker.unblock(), connected(topology({}, data_dir=tmp_path).databases):
        thread = threading.Thread(target=second)
        thread.start()
        with migration_lock(connections["analytics"], report=waits.append):
            held.set()
            until(lambda: bool(waits), "the second holder waits")
            order.append("first")
        thread.join(10)

    assert order == ["first", "second"]
    assert waits == ["Waiting for another migrate of 'analytics' to end."]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            (
                "Traceback (most recent call last):\n  File x\npsycopg.errors.DuplicateTable: relation exists\n\n"
                "The above exception was the direct cause:\n\nTraceback (most recent call last):\n  File y\n"
                "django.db.utils.ProgrammingError: relation exists\nLINE 1: CREATE TABLE\n        ^\nHINT:  Drop it.\n"
            ),
            "django.db.utils.ProgrammingError: relation exists",
        ),
        (
            "CommandError: The server of 'x' cannot be used: connection failed\n\tIs the server running?\n",
            "CommandError: The server of 'x' cannot be used: connection failed",
        ),
        (
            (
                "SystemCheckError: System check identified some issues:\n\nERRORS:\n?: (switchyard.E013) A pool.\n"
                "\tHINT: Leave it out.\n\nSystem check identified 1 issue (0 silenced).\n"
            ),
            "?: (switchyard.E013) A pool.",
        ),
        (
            (
                "System check identified some issues:\n\nWARNINGS:\n?: (switchyard.W005) None.\n\tHINT: Set it.\n\n"
                "CommandError: Conflicting migrations detected; (a in b).\nTo fix them run 'makemigrations --merge'\n"
            ),
            "CommandError: Conflicting migrations detected; (a in b).",
        ),
        ("Killed\n", "Killed"),
        ("", "it ended without a word"),
    ],
)
def test_migrate_all__reason_of_a_failure(output: str, reason: str) -> None:
    """The result shows the line that names the error, not the hint or the excerpt after it."""
    assert reason_of(output) == reason


def test_migrate_all__a_server_that_does_not_answer(tmp_path: Path) -> None:
    """The error of the result is the first line of the driver's message; the lines after it are hints."""
    urls = {f"DATABASE_{alias}_URL": "postgres://app:x@localhost:1/none" for alias in ("DEFAULT",)}

    process = manage("migrate_all", "--json", DATA_DIR=str(tmp_path), **urls)

    (result,) = json.loads(process.stdout)
    assert result["error"].startswith("connection failed: ")
    assert "\n" not in result["error"]


def test_migrate__wrong_settings(empty_databases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The checks of the settings run before the command connects, which such settings would make fail."""
    connections["analytics"].settings_dict.update(CONN_MAX_AGE=60, OPTIONS={"pool": True})

    with pytest.raises(SystemCheckError, match=r"switchyard\.E013"):
        call_command("migrate", database="analytics", skip_checks=False)
    assert connections["analytics"].connection is None


def test_migrate__an_app_without_owner(empty_databases: Path, settings: Settings) -> None:
    """The command ends with one line that says where to add the app."""
    owners = {label: owner for label, owner in settings.SWITCHYARD["OWNERS"].items() if label != "reporting"}
    settings.SWITCHYARD = {**settings.SWITCHYARD, "OWNERS": owners}

    with pytest.raises(CommandError, match=r"^App 'reporting' has no owner\. Add it to SWITCHYARD\['OWNERS'\], or"):
        call_command("migrate", "reporting", database="analytics", skip_checks=False)
