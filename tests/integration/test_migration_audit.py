"""`migration_audit`, `migration_status` and a rollback on each vendor: no false alarm, and every difference is seen."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connections, models
from django.db.models.functions import Lower
from django.test.utils import isolate_apps
from pytest_django.plugin import DjangoDbBlocker
from tests.integration.conftest import manage
from tests.support.connected import connected
from tests.support.replicas import start_mariadb
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import MARIADB, MYSQL, POSTGRESQL

from config.databases import topology
from switchyard.migrations._audit import compare
from switchyard.migrations._audit.compare import Audit

pytestmark = pytest.mark.docker

APPS = "analytics,reporting,legacy"  # all apps of the service on one server
VENDORS = {
    "postgresql": (POSTGRESQL, lambda servers: servers.start_postgres("default")),
    "mysql": (MYSQL, lambda servers: servers.start_mysql("default")),
    "mariadb": (MARIADB, lambda servers: start_mariadb(servers, "default")),
}


@pytest.fixture(scope="module", params=VENDORS)
def server(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """One server of the vendor, `default`, which owns all apps of the service, migrated."""
    vendor, start = VENDORS[request.param]
    with network_of_servers(vendor) as servers:
        start(servers)
        servers.answers("default")
        migrated = command(servers, "migrate_all")
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
        yield servers


def command(servers: Servers, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the service on the server."""
    return manage(*arguments, **servers.environ("migrator"), DATABASE_DEFAULT_APPS=APPS)


@pytest.fixture
def connection(server: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[str]:
    """Connect this process to the server as `analytics`, and yield the vendor."""
    url = server.url("default", "migrator")
    databases = topology(
        {"DATABASE_DEFAULT_URL": "sqlite:////tmp/none", "DATABASE_ANALYTICS_URL": url}, data_dir=tmp_path
    )
    with django_db_blocker.unblock(), connected(databases.databases):
        yield connections["analytics"].vendor


@pytest.fixture
def kinds(connection: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a table with a column of every kind of field that Django has, the only model of `analytics`."""
    with isolate_apps("analytics") as registry:
        every = models_of_every_kind()
        monkeypatch.setattr(compare, "apps", registry)
        with connections["analytics"].schema_editor() as editor:
            for model in every:
                editor.create_model(model)
        yield
        with connections["analytics"].schema_editor() as editor:
            for model in reversed(every):
                editor.delete_model(model)


def models_of_every_kind() -> list[type[models.Model]]:
    """Return the models; the first one is joined with itself and referred to by the second."""

    class Kinds(models.Model):  # noqa: DJ008
        big = models.BigIntegerField()
        binary = models.BinaryField(null=True)
        boolean = models.BooleanField()
        char = models.CharField(max_length=150)
        date = models.DateField(null=True)
        date_time = models.DateTimeField()
        decimal = models.DecimalField(max_digits=12, decimal_places=3)
        duration = models.DurationField()
        email = models.EmailField()
        file = models.FileField()
        file_path = models.FilePathField()
        float_number = models.FloatField(db_default=1.5)
        address = models.GenericIPAddressField()
        integer = models.IntegerField(null=True, unique=True)
        json = models.JSONField()
        positive_big = models.PositiveBigIntegerField()
        positive = models.PositiveIntegerField()
        positive_small = models.PositiveSmallIntegerField()
        slug = models.SlugField()
        small = models.SmallIntegerField()
        text = models.TextField()
        time = models.TimeField()
        url = models.URLField()
        uuid = models.UUIDField()
        other = models.CharField(max_length=5, db_column="Other Name")
        lowered = models.GeneratedField(
            expression=Lower("char"), output_field=models.CharField(max_length=150), db_persist=True
        )
        parent = models.ForeignKey("self", models.CASCADE, null=True)
        friends = models.ManyToManyField("self")

        class Meta:
            app_label = "analytics"

    class Detail(models.Model):  # noqa: DJ008
        kinds = models.OneToOneField(Kinds, models.CASCADE, primary_key=True)
        small_id = models.ForeignKey(Kinds, models.DO_NOTHING, related_name="+", db_constraint=False)

        class Meta:
            app_label = "analytics"

    return [Kinds, Detail]


def execute(*statements: str) -> None:
    """Run statements on the server, as the user that migrates."""
    with connections["analytics"].cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def audit() -> Audit:
    """Compare, without the notes about tables of the service, which has no models in these tests."""
    return compare.audit("analytics")


def test_audit__the_service(server: Servers) -> None:
    """The migrated databases of the service agree with its models, and with their records."""
    found = command(server, "migration_audit", "--json")
    status = command(server, "migration_status", "--json")

    (result,) = json.loads(found.stdout)
    assert (found.returncode, result["problems"], result["notes"], result["tables"]) == (0, [], [], 13), result
    (result,) = json.loads(status.stdout)
    assert (status.returncode, result["state"], len(result["applied"])) == (0, "migrated", 24)


def test_rollback__and_forwards_again(server: Servers) -> None:
    """A rollback of one app leaves the others, shows its SQL before, and the next `migrate_all` makes it all again."""
    sql = command(server, "migrate_all", "--to=legacy.zero", "--sql")
    back = command(server, "migrate_all", "--to=legacy.zero", "--json")
    status = command(server, "migration_status", "--json")
    forwards = command(server, "migrate_all", "--json")
    found = command(server, "migration_audit", "--json")

    assert "DROP TABLE" in sql.stdout, sql.stderr
    assert (back.returncode, json.loads(back.stdout)[0]["undone"]) == (0, ["legacy.0001_initial"]), back.stderr
    (result,) = json.loads(status.stdout)
    assert (status.returncode, result["state"], result["pending"]) == (1, "pending", ["legacy.0001_initial"])
    assert (forwards.returncode, json.loads(forwards.stdout)[0]["applied"]) == (0, ["legacy.0001_initial"])
    assert (found.returncode, json.loads(found.stdout)[0]["problems"]) == (0, [])


def test_audit__every_kind_of_field(kinds: None) -> None:
    """A table that Django has made agrees with its model, whatever its fields are."""
    result = audit()

    assert (result.error, result.problems, result.tables) == ("", [], 3)


def test_audit__differences(kinds: None, connection: str) -> None:
    """NULL, types, missing columns and columns that inserts do not fill are found."""
    changes = {
        "postgresql": (
            *("ALTER COLUMN char TYPE varchar(100)", "ALTER COLUMN big TYPE integer", "ALTER COLUMN url DROP NOT NULL"),
            *("ALTER COLUMN decimal TYPE numeric(12, 2)", "ALTER COLUMN date SET NOT NULL"),
        ),
        "mysql": (
            *("MODIFY big int NOT NULL", "MODIFY url varchar(200) NULL", "MODIFY `decimal` decimal(12,2) NOT NULL"),
            *("MODIFY date date NOT NULL", "MODIFY slug varchar(40) NOT NULL"),
        ),
    }
    same_everywhere = ("ADD COLUMN needed integer NOT NULL", "ADD COLUMN spare integer NULL", "DROP COLUMN email")
    if connection == "postgresql":
        execute("ALTER TABLE analytics_kinds DROP COLUMN lowered")
    execute(*(f"ALTER TABLE analytics_kinds {change}" for change in (*changes[connection], *same_everywhere)))

    result = audit()

    length = "char" if connection == "postgresql" else "slug"
    expected = {
        *("big: has type", f"{length}: has type", "decimal: has type", "url: takes NULL", "date: takes no NULL"),
        *("email: missing", "needed: no field has this column"),
        *(("lowered: missing",) if connection == "postgresql" else ()),
    }
    found = {problem.removeprefix("analytics_kinds.") for problem in result.problems}
    assert {text for text in expected if any(each.startswith(text) for each in found)} == expected
    assert len(found) == len(expected)
    assert "analytics_kinds.spare: no field has this column" in result.notes


def test_audit__table_of_another_owner(kinds: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of the service's other apps on this server are tables of another owner."""
    monkeypatch.setattr(compare, "apps", apps)

    result = audit()

    assert "customers: a table of legacy.Customer, whose rows are on 'legacy'" in result.problems
