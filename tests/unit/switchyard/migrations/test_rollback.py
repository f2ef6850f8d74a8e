"""`migrate_all --to`, `--plan` and `--sql`: what they would do, what they do, and what they refuse."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django.fixtures import Settings
from tests.unit.switchyard.migrations.test_commands import manage

from switchyard.migrations import pending

type Write = Callable[[str, dict[str, str]], None]
type Names = Callable[[str], set[str]]

MIGRATIONS = {
    "0001_event": "operations = [migrations.CreateModel('Event', [('id', models.BigAutoField(primary_key=True))])]",
    "0002_level": "dependencies = [('analytics', '0001_event')]\n"
    "operations = [migrations.AddField('Event', 'level', models.IntegerField(null=True))]",
    "0003_lost": "dependencies = [('analytics', '0002_level')]\noperations = [migrations.RunSQL('SELECT 1')]",
}


@pytest.fixture
def analytics(empty_databases: Path, write_migrations: Write) -> None:
    """Two reversible migrations of `analytics`, and one that is not."""
    write_migrations("analytics", MIGRATIONS)
    write_migrations("reporting", {"0001_report": "operations = []"})


def printed(*arguments: str) -> str:
    """Return what `migrate_all` prints with these arguments."""
    output = StringIO()
    call_command("migrate_all", *arguments, stdout=output)
    return output.getvalue()


def test_plan__of_all_owners(analytics: None) -> None:
    """The plan names for each owner the migrations and their operations; nothing changes."""
    lines = printed("--plan").splitlines()

    begin = lines.index("-- analytics: 4 to do")
    assert lines[begin + 1 : begin + 4] == [
        "--   apply analytics.0001_event",
        "--     Create model Event",
        "--   apply analytics.0002_level",
    ]
    assert "-- legacy: 1 to do" in lines
    assert connections["analytics"].introspection.table_names() == []


def test_sql__can_be_run(analytics: None) -> None:
    """The output of --sql is SQL, with the plan as comments."""
    lines = printed("--sql", "--to=analytics.0001").splitlines()

    assert lines[:2] == ["-- analytics: 1 to do", "--   apply analytics.0001_event"]
    assert any(line.startswith('CREATE TABLE "analytics_event"') for line in lines)


def test_plan__json(analytics: None) -> None:
    """With --json the plan is an object with a list of migrations for each alias."""
    call_command("migrate", "analytics", "0002", database="analytics", verbosity=0)

    plan = json.loads(printed("--plan", "--sql", "--json", "--to=analytics.0001"))

    (step,) = plan["analytics"]
    assert list(plan) == ["analytics"]
    assert (step["migration"], step["backwards"]) == ("analytics.0002_level", True)
    assert any("DROP COLUMN" in line for line in step["sql"])


def test_to__undoes_on_the_owner(tmp_path: Path) -> None:
    """The app is migrated backwards on its owner, the other owners stay as they are, and the result says so."""
    environ = {"DATA_DIR": str(tmp_path)}
    manage("migrate", "--database=analytics", **environ)

    process = manage("migrate_all", "--to=reporting.zero", "--to=analytics.zero", "--json", **environ)

    (result,) = json.loads(process.stdout)
    assert process.returncode == 0, process.stderr
    assert result["undone"] == [
        "analytics.0001_initial",
        "analytics.0002_event_refers_to_user",
        "reporting.0001_initial",
    ]
    assert not (tmp_path / "default.sqlite3").exists()


def test_to__irreversible(analytics: None) -> None:
    """A rollback over a migration that cannot be undone is refused before anything is undone."""
    call_command("migrate", "analytics", database="analytics", verbosity=0)

    with pytest.raises(
        CommandError, match=r"'analytics\.0003_lost' cannot be undone: .*\. Nothing was undone\."
    ) as raised:
        printed("--to=analytics.0001")

    assert raised.value.returncode == 3
    assert not [name for name in pending("analytics") if name.startswith("analytics")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["analytics"], r"--to analytics: give <app>\.<migration> or <app>\.zero"),
        (["nothing.0001"], r"--to nothing\.0001: give <app>\.<migration>"),
        (["analytics.000"], r"ambiguous, name one of 0001_event, 0002_level, 0003_lost\."),
        (["analytics.0009"], r"--to analytics\.0009: 'analytics' has no migration that begins so\."),
        (["analytics.0001", "analytics.0002"], r"--to analytics\.0002: 'analytics' has another target already\."),
    ],
)
def test_to__wrong_names(analytics: None, names: list[str], message: str) -> None:
    """A name that is unknown, incomplete, ambiguous or given twice is refused."""
    with pytest.raises(CommandError, match=message):
        printed(*(f"--to={name}" for name in names))


def test_to__unmanaged_owner(analytics: None, settings: Settings) -> None:
    """An app of an unmanaged owner is refused."""
    settings.SWITCHYARD = {**settings.SWITCHYARD, "UNMANAGED": ["legacy"]}

    with pytest.raises(CommandError, match=r"--to legacy\.zero: 'legacy' is unmanaged"):
        printed("--to=legacy.zero")


def test_migrate_all__half_undone(tmp_path: Path) -> None:
    """A migration that is half undone is still recorded, so nothing is pending; the command fails all the same."""
    environ = {"DATA_DIR": str(tmp_path)}
    manage("migrate", "--database=analytics", **environ)
    with closing(sqlite3.connect(tmp_path / "analytics.sqlite3", isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO django_migrations (app, name, applied) "
            "VALUES ('switchyard:unapplying', 'reporting.0001_initial', '2026-01-01')"
        )

    process = manage("migrate_all", "--json", **environ)

    results = {result["alias"]: result for result in json.loads(process.stdout)}
    assert process.returncode == 3
    assert "'reporting.0001_initial' is half undone on 'analytics'" in results["analytics"]["error"]


def test_optional_owner__fails(tmp_path: Path) -> None:
    """The failure of an owner that is not required is shown, and does not fail the command."""
    (tmp_path / "legacy.sqlite3").write_text("this is no database, and long enough to be read as one" * 10)
    urls = {f"DATABASE_{alias.upper()}_URL": f"sqlite:///{tmp_path}/{alias}.sqlite3" for alias in ("default", "legacy")}

    process = manage("migrate_all", "--json", **urls, DATABASE_LEGACY_REQUIRED="false")

    results = {result["alias"]: result for result in json.loads(process.stdout)}
    assert process.returncode == 0
    assert (results["legacy"]["required"], results["legacy"]["error"]) == (False, "file is not a database")
    assert "Not migrated: legacy. The service starts without it (SWITCHYARD['OPTIONAL'])." in process.stderr
