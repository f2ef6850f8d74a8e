"""Django's commands on an owner, a replica, a read-only and an unmanaged owner, as docs/commands.md shows them."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.management.commands import changepassword
from django.contrib.contenttypes.models import ContentType
from django.core.management import BaseCommand, CommandError, call_command, get_commands, load_command_class
from django.core.management.commands import loaddata
from django.db import connections
from django.db.backends.sqlite3.client import DatabaseClient
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.documents import ROOT

from accounts.models import User
from config.databases import topology
from legacy.models import Customer
from switchyard.crossdb.references.tombstones import Tombstone
from switchyard.management import rules
from switchyard.routing import allow_writes

type Call = Callable[..., str]

REPLICA = "'replica' is a replica of 'default' and gets its tables and rows from there. Run: {} --database=default"
UNMANAGED = "'legacy' is unmanaged (SWITCHYARD['UNMANAGED']): this project neither migrates nor empties its tables."
USER = {"username": "grace", "email": "grace@example.com"}


def other(command: str, app: str, owner: str, alias: str) -> str:
    """Return the refusal of an alias that does not own the app."""
    return f"App '{app}' is owned by '{owner}', not by '{alias}'. Run: {command} --database={owner}"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Path:
    """Return a directory with the migrated files of all owners, each with a row."""
    directory = tmp_path_factory.mktemp("migrated")
    with django_db_blocker.unblock(), connected(topology({}, data_dir=directory).databases):
        for alias in ("default", "analytics", "legacy"):
            call_command("migrate", database=alias, verbosity=0)
        User.objects.create_user("ada")
        with allow_writes("legacy", reason="a row to read"):
            Customer.objects.create(name="Ada", email="ada@example.com", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    return directory


@pytest.fixture
def directory(migrated: Path, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """Connect the four aliases to copies of the migrated files, and yield the directory of this test."""
    files = tmp_path / "files"
    copytree(migrated, files)
    with django_db_blocker.unblock(), connected(topology({}, data_dir=files).databases):
        yield tmp_path


@pytest.fixture
def call(directory: Path) -> Call:
    """Return a function that calls a command line and returns its output, or the text of its CommandError."""

    def called(line: str, **options: Any) -> str:
        said = StringIO()
        try:
            call_command(*line.split(), stdout=said, stderr=said, no_color=True, **options)
        except CommandError as error:
            return str(error)
        return said.getvalue()

    return called


@pytest.fixture
def outside_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands run as outside a test run, in which Django itself calls two of them on each alias."""
    monkeypatch.setattr(rules, "under_test", lambda: False)


def test_showmigrations__own_apps(call: Call) -> None:
    """The list has the migrations of the alias' own apps, and no others; a replica has those of its owner."""
    assert call("showmigrations --database=legacy") == "legacy\n [X] 0001_initial\n"
    assert call("showmigrations --database=analytics --plan") == (
        "[X]  analytics.0001_initial\n[X]  analytics.0002_event_refers_to_user\n[X]  reporting.0001_initial\n"
    )
    on_default = call("showmigrations --database=default")
    assert re.findall(r"^\w+$", on_default, re.MULTILINE) == ["accounts", "admin", "auth", "contenttypes", "sessions"]
    assert "[ ]" not in on_default
    assert call("showmigrations --database=replica") == on_default


def test_showmigrations__a_pending_migration(call: Call) -> None:
    """A migration that the owner has not recorded is shown as missing."""
    with connections["analytics"].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'reporting'")

    assert call("showmigrations reporting --database=analytics") == "reporting\n [ ] 0001_initial\n"


def test_sqlmigrate__the_owner(call: Call) -> None:
    """The owner of the app, read-only or not, gets the SQL of its migration."""
    assert 'CREATE TABLE "analytics_analyticsevent"' in call("sqlmigrate analytics 0001 --database=analytics")
    assert 'CREATE TABLE "customers"' in call("sqlmigrate legacy 0001 --database=legacy")


REFUSED = [
    (
        "showmigrations legacy",
        "default",
        other("showmigrations legacy", "legacy", "legacy", "default"),
    ),
    ("sqlmigrate accounts 0001", "replica", REPLICA.format("sqlmigrate accounts 0001")),
    (
        "sqlmigrate legacy 0001",
        "default",
        other("sqlmigrate legacy 0001", "legacy", "legacy", "default"),
    ),
    ("sqlflush", "replica", REPLICA.format("sqlflush")),
    ("sqlsequencereset accounts", "replica", REPLICA.format("sqlsequencereset accounts")),
    (
        "sqlsequencereset accounts",
        "legacy",
        other("sqlsequencereset accounts", "accounts", "default", "legacy"),
    ),
    ("dumpdata legacy.Customer", "replica", other("dumpdata legacy.Customer", "legacy", "legacy", "replica")),
    ("dumpdata accounts", "analytics", other("dumpdata accounts", "accounts", "default", "analytics")),
    ("loaddata no.json", "replica", REPLICA.format("loaddata no.json")),
    ("flush --no-input", "replica", REPLICA.format("flush")),
    ("createcachetable cached", "replica", REPLICA.format("createcachetable")),
    (
        "createcachetable cached",
        "legacy",
        other("createcachetable", "django_cache", "default", "legacy"),
    ),
    ("createsuperuser --no-input --username x", "replica", REPLICA.format("createsuperuser")),
    (
        "createsuperuser --no-input --username x",
        "legacy",
        other("createsuperuser", "accounts", "default", "legacy"),
    ),
    ("changepassword ada", "legacy", other("changepassword ada", "accounts", "default", "legacy")),
    ("remove_stale_contenttypes --no-input", "replica", REPLICA.format("remove_stale_contenttypes")),
    (
        "remove_stale_contenttypes --no-input",
        "legacy",
        other("remove_stale_contenttypes", "contenttypes", "default", "legacy"),
    ),
    ("migrate", "replica", REPLICA.format("migrate")),
    ("migrate legacy", "default", other("migrate legacy", "legacy", "legacy", "default")),
]


@pytest.mark.usefixtures("outside_tests")
@pytest.mark.parametrize(("line", "alias", "refusal"), REFUSED)
def test_command__a_wrong_alias(call: Call, line: str, alias: str, refusal: str) -> None:
    """A command that would print nothing, or the wrong thing, is refused with the alias to name."""
    assert call(f"{line} --database={alias}") == refusal


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("dumpdata nowhere", "No installed app with label 'nowhere'."),
        ("sqlmigrate nowhere 0001", "No installed app with label 'nowhere'."),
        ("migrate staticfiles", "App 'staticfiles' does not have migrations."),
    ],
)
def test_command__an_app_without_rows(call: Call, line: str, error: str) -> None:
    """An app that is not installed, or has no models, needs no owner: Django's own error stands."""
    assert call(f"{line} --database=default") == error


@pytest.mark.usefixtures("outside_tests", "directory")
def test_testserver__several_databases(call: Call) -> None:
    """`testserver` makes one test database, so requests would reach the other real ones."""
    assert call("testserver no.json").startswith("testserver makes a test database for 'default' only")


@pytest.mark.parametrize("alias", ["default", "replica"])
def test_dumpdata__rows(call: Call, alias: str) -> None:
    """An owner and its replica give the same rows, with and without a label."""
    (user,) = json.loads(call(f"dumpdata accounts.User --database={alias}"))
    models = {row["model"] for row in json.loads(call(f"dumpdata --database={alias}"))}

    assert user["fields"]["username"] == "ada"
    assert {"accounts.user", "auth.permission", "contenttypes.contenttype"} <= models
    assert "legacy.customer" not in models


@pytest.mark.usefixtures("outside_tests")
def test_commands__write_to_a_read_only_owner(call: Call, directory: Path) -> None:
    """A command that names its database writes to a read-only owner as well."""
    assert django_settings.SWITCHYARD["READ_ONLY"] == ["legacy"]
    fixture = directory / "rows.json"
    fixture.write_text(call("dumpdata legacy --database=legacy"))

    assert call("flush --no-input --database=legacy") == ""
    assert call("dumpdata legacy --database=legacy").strip() == "[]"
    assert call(f"loaddata {fixture} --database=legacy") == "Installed 1 object(s) from 1 fixture(s)\n"
    assert Customer.objects.get().name == "Ada"


@pytest.mark.usefixtures("outside_tests")
def test_flush__empties_the_tombstones(call: Call) -> None:
    """`flush` removes the tombstones of the alias, also those of the rows that it deletes; `sqlflush` prints it."""
    tombstones = Tombstone.objects.using("default")
    User.objects.using("default").create(username="bob").delete()
    assert tombstones.count() == 1

    assert call("sqlflush").count('DELETE FROM "switchyard_tombstone";') == 1
    assert "switchyard_tombstone" not in call("sqlflush --database=analytics")
    assert call("flush --no-input") == ""
    assert not User.objects.using("default").exists()
    assert tombstones.count() == 0


@pytest.mark.usefixtures("outside_tests")
def test_flush__without_a_table_of_tombstones(call: Call) -> None:
    """An owner of parents that is not migrated yet is flushed as ever."""
    with connections["default"].cursor() as cursor:
        for event in ("delete", "update"):
            cursor.execute(f"DROP TRIGGER deletions_analytics_analyticsevent_user_id_{event}")
        cursor.execute("DROP TABLE switchyard_tombstone")

    assert call("flush --no-input") == ""
    assert not User.objects.using("default").exists()


def test_loaddata__rows_of_several_owners(call: Call, directory: Path) -> None:
    """The alias takes the rows that it owns, and the count shows that others were left out."""
    rows = json.loads(call("dumpdata legacy --database=legacy")) + json.loads(call("dumpdata accounts"))
    (directory / "rows.json").write_text(json.dumps(rows))

    assert call(f"loaddata {directory}/rows.json") == "Installed 1 object(s) (of 2) from 1 fixture(s)\n"


@pytest.mark.usefixtures("outside_tests")
def test_createcachetable__the_owner(call: Call) -> None:
    """The owner of `django_cache` gets the table."""
    call("createcachetable cached --database=default")

    assert "cached" in connections["default"].introspection.table_names()


@pytest.mark.usefixtures("outside_tests", "directory")
def test_createcachetable__without_an_owner(call: Call, settings: Settings) -> None:
    """Without an owner of `django_cache` the command says where to add it."""
    owners = {label: owner for label, owner in settings.SWITCHYARD["OWNERS"].items() if label != "django_cache"}
    settings.SWITCHYARD = {**settings.SWITCHYARD, "OWNERS": owners}

    assert call("createcachetable cached") == ("App 'django_cache' has no owner. Add it to SWITCHYARD['OWNERS'].")


def test_createcachetable__in_a_test_run(call: Call, directory: Path) -> None:
    """Django calls the command on each test database: on an alias that does not own the caches nothing happens."""
    assert call("createcachetable cached --database=analytics") == ""
    assert "cached" not in connections["analytics"].introspection.table_names()


@pytest.mark.usefixtures("directory")
def test_createsuperuser__the_owner(call: Call) -> None:
    """The owner of the user model gets the user."""
    call_command("createsuperuser", interactive=False, verbosity=0, **USER)

    assert get_user_model().objects.get(username="grace").is_superuser


@pytest.mark.parametrize("alias", ["default", "replica"])
def test_changepassword__owner_and_replica(call: Call, alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user may be read on a replica; the password is written to the owner."""
    monkeypatch.setattr(changepassword.Command, "_get_pass", lambda *_prompt: "a long new password 7")

    assert "Password changed successfully" in call(f"changepassword ada --database={alias}")
    assert User.objects.using("default").get(username="ada").check_password("a long new password 7")


@pytest.mark.usefixtures("directory")
def test_remove_stale_contenttypes__the_owner(call: Call) -> None:
    """The owner of the content types loses the stale ones."""
    ContentType.objects.create(app_label="accounts", model="gone")

    call("remove_stale_contenttypes --no-input --database=default")

    assert not ContentType.objects.filter(model="gone").exists()


def test_sql__of_an_owner(call: Call) -> None:
    """`sqlflush` prints SQL for the alias' own tables, of a read-only owner as well."""
    assert 'DELETE FROM "customers"' in call("sqlflush --database=legacy")
    assert "customers" not in call("sqlflush --database=default")
    assert call("sqlsequencereset accounts") == "No sequences found.\n"  # SQLite has none


@pytest.mark.parametrize("alias", ["default", "replica", "legacy"])
def test_commands__that_read_the_server(call: Call, alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`inspectdb`, `check` and `dbshell` work with the server of each alias."""
    shells: list[str] = []
    monkeypatch.setattr(DatabaseClient, "runshell", lambda client, _parameters: shells.append(client.connection.alias))

    assert ("customers" in call(f"inspectdb --database={alias}")) == (alias == "legacy")
    assert call(f"check --database={alias}") == "System check identified no issues (0 silenced).\n"
    assert call(f"dbshell --database={alias}") == ""
    assert shells == [alias]


@pytest.mark.usefixtures("directory")
def test_warning__all_owners_migrated(capsys: pytest.CaptureFixture[str]) -> None:
    """`runserver` and `createsuperuser` warn of nothing while each owner has its own migrations."""
    BaseCommand().check_migrations()

    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("directory")
def test_warning__unapplied_migrations(capsys: pytest.CaptureFixture[str]) -> None:
    """The warning names each owner with its unapplied migrations, and each owner that cannot be read."""
    with connections["analytics"].cursor() as cursor:
        cursor.execute("DROP TABLE django_migrations")
    connections["legacy"].close()
    file = Path(connections["legacy"].settings_dict["NAME"])
    file.unlink()
    file.mkdir()  # SQLite opens no directory

    BaseCommand(no_color=True).check_migrations()

    assert capsys.readouterr().out == (
        "\n'analytics' has 3 unapplied migration(s) of: analytics, reporting.\n"
        "The migrations of 'legacy' cannot be read (OperationalError).\n"
        "Your project may not work properly until you run 'python manage.py migrate_all'.\n"
    )


@pytest.fixture
def unmanaged(settings: Settings) -> None:
    """Let `legacy` be an owner whose tables others make."""
    settings.SWITCHYARD = {**settings.SWITCHYARD, "UNMANAGED": ["legacy"]}


@pytest.mark.usefixtures("unmanaged", "outside_tests")
@pytest.mark.parametrize("line", ["migrate", "sqlmigrate legacy 0001", "flush --no-input", "sqlflush"])
def test_command__unmanaged_owner(call: Call, line: str) -> None:
    """A command that works on tables says that the owner is unmanaged, and does nothing."""
    assert call(f"{line} --database=legacy").strip() == UNMANAGED
    assert Customer.objects.exists()


@pytest.mark.usefixtures("unmanaged")
def test_showmigrations__unmanaged_owner(call: Call) -> None:
    """The list says that the owner is unmanaged, and has no migrations."""
    assert call("showmigrations --database=legacy") == f"{UNMANAGED}\n"
    assert call("showmigrations --database=legacy --plan") == f"{UNMANAGED}\n(no migrations)\n"


@pytest.mark.usefixtures("unmanaged")
def test_rows__unmanaged_owner(call: Call, directory: Path) -> None:
    """The rows of an unmanaged owner can be dumped and loaded."""
    (directory / "rows.json").write_text(call("dumpdata legacy --database=legacy"))

    assert call(f"loaddata {directory}/rows.json --database=legacy") == "Installed 1 object(s) from 1 fixture(s)\n"


def test_rule__of_a_subclass(directory: Path) -> None:
    """The rule of a command holds for a package's subclass of it."""

    class Translated(loaddata.Command):
        """A `loaddata` of another package."""

    with pytest.raises(CommandError, match="'replica' is a replica"):
        call_command(Translated(), "no.json", database="replica")


def test_hook__an_option_of_any_name(call: Call) -> None:
    """A command may have an option named like an argument of the hook, as `shell` has."""
    assert call("shell --no-imports", command="pass") == ""


def test_rules__are_of_commands() -> None:
    """Each rule is for a command of Django."""
    modules = {f"{app}.management.commands.{name}" for name, app in get_commands().items() if app != "django.core"}
    modules |= {f"django.core.management.commands.{name}" for name, app in get_commands().items()}

    assert set(rules.RULES) - modules == set()


def test_page__names_every_command_with_an_alias() -> None:
    """docs/commands.md has a row for each of Django's commands with `--database`."""
    django_apps = {"django.core", *(app.name for app in apps.get_app_configs() if app.name.startswith("django."))}
    commands = {name for name, app in get_commands().items() if app in django_apps} | {"migrate", "makemigrations"}
    named = set(re.findall(r"^\| `(\w+)", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE))
    takes_alias = {
        name
        for name in commands
        if "--database" in load_command_class(get_commands()[name], name).create_parser("manage.py", name).format_help()
    }

    assert {"dumpdata", "createsuperuser", "migrate"} <= takes_alias
    assert takes_alias - named == set()
