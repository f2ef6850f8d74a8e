"""`migrate` makes and records exactly the migrations that the alias owns."""

import doctest
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.migrations.exceptions import InconsistentMigrationHistory

from switchyard.migrations import _status, pending
from switchyard.testing import assert_queries

type Names = Callable[[str], set[str]]
type Write = Callable[[str, dict[str, str]], None]

USER = "operations = [migrations.CreateModel('User', [('id', models.BigAutoField(primary_key=True))])]"
EVENT = """
dependencies = [('accounts', '0001_user')]
operations = [migrations.CreateModel('AnalyticsEvent', [
    ('id', models.BigAutoField(primary_key=True)),
    ('user', models.ForeignKey('accounts.User', models.DO_NOTHING, db_constraint=False)),
])]
"""
FIELD = "operations = [migrations.AddField('AnalyticsEvent', '{0}', models.IntegerField(null=True))]"


def migrate(alias: str, *arguments: str, **options: object) -> None:
    call_command("migrate", *arguments, database=alias, verbosity=0, **options)


@pytest.fixture
def two_owners(empty_databases: Path, write_migrations: Write) -> None:
    """Write migrations of two owners that depend on each other: `accounts` on `default`, and `analytics`."""
    write_migrations("accounts", {
        "0001_user": USER,
        "0002_last": """
            dependencies = [('accounts', '0001_user'), ('analytics', '0001_event')]
            operations = [migrations.AddField('User', 'last', models.ForeignKey(
                'analytics.AnalyticsEvent', models.DO_NOTHING, null=True, db_constraint=False, related_name='+'))]
        """.replace("\n            ", "\n"),
    })  # fmt: skip
    write_migrations("analytics", {"0001_event": EVENT, "0002_level": (
        "dependencies = [('analytics', '0001_event')]\n" + FIELD.format("level")
    )})  # fmt: skip


@pytest.mark.parametrize(
    ("alias", "apps"),
    [
        ("default", {"accounts", "admin", "auth", "contenttypes", "sessions"}),
        ("analytics", {"analytics", "reporting"}),
        ("legacy", {"legacy"}),
    ],
)
def test_migrate__each_alias(empty_databases: Path, tables: Names, recorded: Names, alias: str, apps: set[str]) -> None:
    """The alias records the migrations of its own apps only, and the other aliases stay empty."""
    migrate(alias)

    assert {name.partition(".")[0] for name in recorded(alias)} == apps
    assert pending(alias) == []
    assert all(tables(other) == set() for other in ("default", "analytics", "legacy") if other != alias)


def test_migrate__exactly_the_owned_tables(empty_databases: Path, tables: Names) -> None:
    """The alias has all tables of its apps and no other table."""
    migrate("analytics")

    assert tables("analytics") == {"analytics_analyticsevent", "reporting_analyticsreport", "django_migrations"}


@pytest.mark.django_db(databases=["default", "analytics", "legacy", "replica"])
def test_docstrings__examples() -> None:
    """The examples of `pending()` and `migrating()` run and print the shown results."""
    failed, attempted = doctest.testmod(_status)

    assert (failed, attempted) == (0, 2)


@pytest.mark.django_db(databases=["default"])
def test_pending__queries() -> None:
    """`pending()` sends four queries, all to the alias."""
    with assert_queries(default=4):
        pending("default")


def test_migrate__replica(empty_databases: Path) -> None:
    """The error for a replica names the command to run instead."""
    with pytest.raises(CommandError, match=r"replica of 'default'.*migrate --database=default"):
        migrate("replica")


def test_migrate__app_of_another_owner(empty_databases: Path) -> None:
    """The error for an app of another alias names the command to run instead."""
    with pytest.raises(CommandError, match="migrate analytics --database=analytics"):
        migrate("default", "analytics")


@pytest.mark.parametrize("alias", ["default", "analytics"])
def test_migrate__dependencies_between_owners(two_owners: None, tables: Names, recorded: Names, alias: str) -> None:
    """An empty alias is migrated without the other one, though the migrations of both depend on each other."""
    own = {"default": "accounts", "analytics": "analytics"}[alias]

    migrate(alias)
    migrate(alias)  # reads the history that the first run left

    assert pending(alias) == []
    assert {name for name in recorded(alias) if name.startswith(own)} == {
        "default": {"accounts.0001_user", "accounts.0002_last"},
        "analytics": {"analytics.0001_event", "analytics.0002_level"},
    }[alias]
    assert ("accounts_user" in tables(alias)) == (alias == "default")


def test_migrate__backwards(two_owners: None, tables: Names, recorded: Names) -> None:
    """An alias unapplies its migrations, though a migration of another owner depends on them."""
    migrate("analytics")

    migrate("analytics", "analytics", "zero")

    assert "analytics_analyticsevent" not in tables("analytics")
    assert not [name for name in recorded("analytics") if name.startswith("analytics")]
    assert pending("analytics") == ["analytics.0001_event", "analytics.0002_level"]


def test_migrate__fake(empty_databases: Path, tables: Names, recorded: Names) -> None:
    """--fake records the migrations that the alias owns and makes no table."""
    migrate("legacy", fake=True)

    assert tables("legacy") == {"django_migrations"}
    assert recorded("legacy") == {"legacy.0001_initial"}


def test_migrate__check(empty_databases: Path) -> None:
    """--check fails while an owned migration is pending, and ignores the migrations of other owners."""
    with pytest.raises(SystemExit, match="1"):
        migrate("legacy", check_unapplied=True)

    migrate("legacy")
    migrate("legacy", check_unapplied=True)


def test_migrate__plan(empty_databases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--plan names the migrations that the alias owns and no other, and changes nothing."""
    call_command("migrate", database="legacy", plan=True)

    plan = capsys.readouterr().out
    assert "legacy.0001_initial" in plan
    assert "accounts" not in plan
    assert "analytics" not in plan
    assert pending("legacy") == ["legacy.0001_initial"]


def test_migrate__squash_after_its_parts(empty_databases: Path, write_migrations: Write, recorded: Names) -> None:
    """A squash of migrations that are all applied is pending until it is recorded, and applies nothing."""
    parts = {"0001_event": EVENT.replace("[('accounts', '0001_user')]", "[('accounts', '0001_initial')]")}
    parts["0002_level"] = "dependencies = [('analytics', '0001_event')]\n" + FIELD.format("level")
    write_migrations("analytics", parts)
    migrate("analytics")
    write_migrations(
        "analytics", {"0001_squashed": f"replaces = {[('analytics', name) for name in parts]!r}\noperations = []"}
    )

    assert pending("analytics") == ["analytics.0001_squashed"]
    migrate("analytics")
    assert pending("analytics") == []
    assert "analytics.0001_squashed" in recorded("analytics")


def test_migrate__owned_history_out_of_order(two_owners: None) -> None:
    """A recorded migration without its recorded dependency is an error, if the alias owns both."""
    migrate("analytics")
    with connections["analytics"].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE name = '0001_event'")

    with pytest.raises(InconsistentMigrationHistory, match=r"analytics\.0002_level is applied before"):
        migrate("analytics")


def test_migrate__rows_of_djangos_own_migrate(two_owners: None, recorded: Names) -> None:
    """Rows that Django's own `migrate` recorded for other apps stay, and do no harm."""
    migrate("analytics")
    with connections["analytics"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('accounts', '0002_last', CURRENT_TIMESTAMP)"
        )

    migrate("analytics")

    assert pending("analytics") == []
    assert "accounts.0001_user" not in recorded("analytics")


def test_migrate__state_of_other_apps(empty_databases: Path, write_migrations: Write) -> None:
    """An operation sees the models of other owners in the state that their migrations define."""
    write_migrations("analytics", {"0001_look": """
dependencies = [('accounts', '0001_initial')]
def look(apps, schema_editor):
    assert apps.get_model('accounts', 'User')._meta.get_field('username').max_length == 150
    assert schema_editor.connection.alias == 'analytics'
    schema_editor.execute('CREATE TABLE looked (id integer)')
operations = [migrations.RunPython(look)]
"""})  # fmt: skip

    migrate("analytics")

    assert "looked" in connections["analytics"].introspection.table_names()


@pytest.mark.parametrize("alias", ["default", "legacy"])
def test_migrate__operations_of_another_owner(
    empty_databases: Path, write_migrations: Write, tables: Names, alias: str
) -> None:
    """Case 16: RunPython and RunSQL of an app do not run on an alias that does not own it."""
    write_migrations("analytics", {"0001_boom": """
def boom(apps, schema_editor):
    schema_editor.execute('CREATE TABLE boom (id integer)')
operations = [migrations.RunPython(boom), migrations.RunSQL('CREATE TABLE bang (id integer)')]
"""})  # fmt: skip

    migrate(alias)
    assert not {"boom", "bang"} & tables(alias)

    migrate("analytics")
    assert {"boom", "bang"} <= tables("analytics")


def test_makemigrations__dependencies_between_owners(two_owners: None) -> None:
    """`makemigrations` finds the history of each alias consistent."""
    migrate("default")
    migrate("analytics")

    call_command("makemigrations", "sessions", check_changes=True, verbosity=0)


def test_showmigrations__one_alias(empty_databases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Django's `showmigrations` shows the migrations that the alias has recorded."""
    migrate("legacy")

    call_command("showmigrations", "legacy", database="legacy", no_color=True)

    assert "[X] 0001_initial" in capsys.readouterr().out
