"""`migration_status` on SQLite: what it finds, its exit codes and its output."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from pytest_django.fixtures import Settings
from tests.support.written import write_migrations
from tests.unit.switchyard.migrations.conftest import empty_databases

from switchyard.migrations import migrating
from switchyard.routing import allow_writes

__all__ = ["empty_databases", "write_migrations"]  # fixtures

type Write = Callable[[str, dict[str, str]], None]


@pytest.fixture
def migrated(empty_databases: Path) -> Path:
    """Migrate every owner."""
    for alias in migrating():
        call_command("migrate", database=alias, verbosity=0)
    return empty_databases


@pytest.fixture
def unmanaged_legacy(settings: Settings) -> None:
    """Let others make the tables of `legacy`."""
    settings.SWITCHYARD = {**settings.SWITCHYARD, "UNMANAGED": ["legacy"]}


def status(*arguments: str) -> tuple[int, str]:
    """Return the exit code and the output of the command."""
    output, code = StringIO(), 0
    try:
        call_command("migration_status", *arguments, stdout=output)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, output.getvalue()


def of(alias: str) -> dict[str, object]:
    """Return what `--json` says about one alias, with the exit code, without empty entries."""
    code, output = status("--json", f"--database={alias}")
    (found,) = json.loads(output)
    return {name: value for name, value in {**found, "code": code}.items() if value not in ([], "", None)}


def execute(alias: str, sql: str) -> None:
    """Run one statement on the alias."""
    with allow_writes(alias, reason="a test"), connections[alias].cursor() as cursor:
        cursor.execute(sql)


def test_status__all_migrated(migrated: Path) -> None:
    """Every owner and every replica has a line, nothing needs attention, and the exit code is 0."""
    code, output = status("--json")

    found = {each["alias"]: each for each in json.loads(output)}
    assert code == 0
    assert {alias: each["state"] for alias, each in found.items()} == dict.fromkeys(settings.DATABASES, "migrated")
    assert found["replica"]["applied"] == found["default"]["applied"]
    assert found["legacy"]["applied"] == ["legacy.0001_initial"]


def test_status__table(migrated: Path) -> None:
    """Without --json the command prints a table with a line for each alias, and details below it."""
    execute("analytics", "DELETE FROM django_migrations WHERE app = 'reporting'")
    execute("analytics", "DROP TABLE reporting_analyticsreport")

    code, output = status()

    assert code == 1
    assert {line.split()[1] for line in output.splitlines() if line.startswith("│")} == set(settings.DATABASES)
    assert "analytics: pending\n  reporting.0001_initial\n" in output


def test_status__colours(migrated: Path) -> None:
    """The states have colours on a terminal, and none in a file."""
    output = StringIO()
    call_command("migration_status", "--force-color", stdout=output)

    assert "\x1b[32mmigrated\x1b[0m" in output.getvalue()
    assert "\x1b" not in status()[1]


def test_status__empty_database(empty_databases: Path) -> None:
    """On an empty database every migration is pending; nothing is made there."""
    found = of("analytics")

    assert (found["state"], found["code"]) == ("pending", 1)
    assert found["pending"] == [
        "analytics.0001_initial",
        "analytics.0002_event_refers_to_user",
        "reporting.0001_initial",
    ]
    assert connections["analytics"].introspection.table_names() == []


def test_status__unreadable_owner(migrated: Path) -> None:
    """An owner that cannot be read has one line with the reason; the exit code is 3."""
    connections["analytics"].close()
    connections["analytics"].settings_dict["NAME"] = f"file:{migrated}/none.sqlite3?mode=ro"

    assert of("analytics") == {
        "alias": "analytics",
        "state": "unreadable",
        "managed": True,
        "code": 3,
        "error": "unable to open database file",
    }


def test_status__ahead(migrated: Path, write_migrations: Write) -> None:
    """A recorded migration that the code does not know is ahead, which is no fault."""
    MigrationRecorder(connections["analytics"]).record_applied("analytics", "0002_newer")
    MigrationRecorder(connections["analytics"]).record_applied("accounts", "0001_initial")  # by Django's own migrate

    found = of("analytics")

    assert (found["state"], found["code"], found["ahead"]) == ("migrated", 0, ["analytics.0002_newer"])


def test_status__replaced_by_a_squash(migrated: Path, write_migrations: Write) -> None:
    """The rows of migrations that a squash has replaced are not ahead."""
    replaced = ("0001_initial", "0002_event_refers_to_user", "0003_more")
    body = f"initial = True\nreplaces = {[('analytics', name) for name in replaced]}\n"
    write_migrations("analytics", {"0001_squashed": body + "operations = []"})
    for name in ("0001_squashed", "0003_more"):
        MigrationRecorder(connections["analytics"]).record_applied("analytics", name)

    assert "ahead" not in of("analytics")


def test_status__recorded_without_table(migrated: Path) -> None:
    """A recorded migration whose table is missing is named with its table; the exit code is 2."""
    execute("legacy", "DROP TABLE orders")

    found = of("legacy")

    assert (found["state"], found["code"]) == ("differs", 2)
    assert found["recorded_without_table"] == ["orders (legacy.Order)"]


def test_status__table_without_record(migrated: Path) -> None:
    """A table of a pending migration that exists already is named; the exit code is 2."""
    execute("analytics", "DELETE FROM django_migrations WHERE app = 'reporting'")

    found = of("analytics")

    assert (found["state"], found["code"]) == ("differs", 2)
    assert found["table_without_record"] == ["reporting_analyticsreport (reporting.AnalyticsReport)"]
    assert found["pending"] == ["reporting.0001_initial"]


def test_status__half_done(migrated: Path) -> None:
    """A mark is shown as half done, and not as ahead; the exit code is 2."""
    with allow_writes("legacy", reason="a test"):
        MigrationRecorder(connections["legacy"]).record_applied("switchyard:applying", "legacy.0002_next")

    found = of("legacy")

    assert (found["state"], found["code"], found["half_done"]) == ("half done", 2, ["legacy.0002_next"])
    assert "ahead" not in found


def test_status__of_a_replica(migrated: Path) -> None:
    """A replica that cannot be read counts as not migrated, because the service starts without it."""
    connections["replica"].close()
    connections["replica"].settings_dict["NAME"] = f"file:{migrated}/none.sqlite3?mode=ro"

    assert (of("replica")["state"], of("replica")["code"]) == ("unreadable", 1)


def test_status__unmanaged(migrated: Path, unmanaged_legacy: None) -> None:
    """An unmanaged owner is listed as such, and not read."""
    assert of("legacy") == {"alias": "legacy", "state": "unmanaged", "managed": False, "code": 0}


def test_status__unknown_alias(migrated: Path) -> None:
    """The error names the aliases to choose from."""
    with pytest.raises(CommandError, match=r"'nothing' is no alias of DATABASES\. Name one of: default, "):
        status("--database=nothing")
