"""`lint_migrations`: what older code survives, and what must be marked as contract."""

import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from switchyard.migrations._contract import findings
from switchyard.migrations._per_alias import OwnedLoader

type Write = Callable[[str, dict[str, str]], None]

FIRST = """
operations = [
    migrations.CreateModel('Thing', [
        ('id', models.BigAutoField(primary_key=True)),
        ('name', models.CharField(max_length=50)),
        ('code', models.CharField(max_length=5, db_column='code', null=True)),
        ('price', models.DecimalField(max_digits=8, decimal_places=2)),
        ('count', models.IntegerField()),
    ]),
    migrations.CreateModel('Fixed', [('id', models.BigAutoField(primary_key=True))], {'db_table': 'fixed'}),
    migrations.CreateModel('View', [('id', models.BigAutoField(primary_key=True))], {'managed': False}),
]
"""
BREAKING = {
    "migrations.RemoveField('Thing', 'name')": "older code names the column in each query",
    "migrations.DeleteModel('Thing')": "older code reads and writes the table",
    "migrations.RenameField('Thing', 'name', 'title')": "older code uses the old name of the column",
    "migrations.RenameModel('Thing', 'Item')": "older code uses the old name of the table",
    "migrations.AlterModelTable('Thing', 'things')": "older code uses the old name",
    "migrations.AlterField('Thing', 'name', models.CharField(max_length=20))": (
        "makes max_length smaller, from 50 to 20"
    ),
    "migrations.AlterField('Thing', 'price', models.DecimalField(max_digits=6, decimal_places=2))": (
        "makes max_digits smaller, from 8 to 6"
    ),
    "migrations.AlterField('Thing', 'code', models.CharField(max_length=5, default=''))": "older code may write NULL",
    "migrations.AlterField('Thing', 'name', models.CharField(max_length=50, unique=True))": (
        "older code may write a value twice"
    ),
    "migrations.AlterField('Thing', 'count', models.CharField(max_length=50))": (
        "changes the type from IntegerField to CharField"
    ),
    "migrations.AlterField('Thing', 'count', models.SmallIntegerField())": (
        "changes the type from IntegerField to SmallIntegerField"
    ),
    "migrations.AddField('Thing', 'size', models.IntegerField(default=0))": (
        "older code inserts rows without it: give it null=True or a db_default"
    ),
    "migrations.RunSQL('DROP TABLE other')": "nothing can tell what this SQL does to older code",
    "migrations.SeparateDatabaseAndState([migrations.RunSQL('DROP TABLE other')])": (
        "nothing can tell what this SQL does to older code"
    ),
}
SURVIVED = [
    "migrations.CreateModel('Other', [('id', models.BigAutoField(primary_key=True))])",
    "migrations.AddField('Thing', 'size', models.IntegerField(null=True))",
    "migrations.AddField('Thing', 'size', models.IntegerField(db_default=0))",
    "migrations.AddField('Thing', 'others', models.ManyToManyField('analytics.Fixed'))",
    "migrations.AlterField('Thing', 'name', models.CharField(max_length=60))",
    "migrations.AlterField('Thing', 'name', models.TextField())",
    "migrations.AlterField('Thing', 'count', models.BigIntegerField())",
    "migrations.AlterField('Thing', 'count', models.IntegerField(null=True))",
    "migrations.RenameModel('Fixed', 'Solid')",
    "migrations.RenameField('Thing', 'code', 'number')",
    "migrations.DeleteModel('View')",
    "migrations.SeparateDatabaseAndState([], [migrations.RemoveField('Thing', 'name')])",
    "migrations.RunPython(migrations.RunPython.noop)",
]


def second(operation: str, *, mark: str = "") -> dict[str, str]:
    """Return two migrations: the second has one operation, and a mark if there is one."""
    body = f"dependencies = [('analytics', '0001_first')]\n{mark}\noperations = [{operation}]"
    return {"0001_first": FIRST, "0002_second": body}


def reasons() -> list[str]:
    """Return the reasons that are found for the migration with the operation."""
    return [found.reason for found in findings(OwnedLoader(None), ("analytics", "0002_second"))]


@pytest.mark.parametrize("operation", BREAKING)
def test_findings__older_code_breaks(write_migrations: Write, operation: str) -> None:
    """The operation is found, with its reason."""
    write_migrations("analytics", second(operation))

    assert reasons() == [BREAKING[operation]]


@pytest.mark.parametrize("operation", BREAKING)
def test_findings__marked_as_contract(write_migrations: Write, operation: str) -> None:
    """A migration that says `contract = True` may do it."""
    write_migrations("analytics", second(operation, mark="contract = True"))

    assert reasons() == []


@pytest.mark.parametrize("operation", SURVIVED)
def test_findings__older_code_survives(write_migrations: Write, operation: str) -> None:
    """The operation is not found."""
    write_migrations("analytics", second(operation))

    assert reasons() == []


def test_findings__marked_as_no_contract(write_migrations: Write) -> None:
    """`contract = False` answers for SQL, which nothing can judge, and not for what the lint sees."""
    operations = "migrations.RunSQL('SELECT 1'), migrations.DeleteModel('Thing')"
    write_migrations("analytics", second(operations, mark="contract = False"))

    assert reasons() == ["older code reads and writes the table"]


def test_findings__model_of_the_same_migration(write_migrations: Write) -> None:
    """A migration may change the models that it makes: no older code knows them."""
    operation = (
        "migrations.CreateModel('New', [('id', models.BigAutoField(primary_key=True))]), migrations.AddField("
        "'New', 'size', models.IntegerField(default=0)), migrations.RemoveField('New', 'size')"
    )
    write_migrations("analytics", second(operation))

    assert reasons() == []


def test_lint__names_the_owner(write_migrations: Write) -> None:
    """Each line names the owner, the migration, the operation and the reason; the command fails."""
    write_migrations("analytics", second("migrations.RemoveField('Thing', 'name')"))

    with pytest.raises(CommandError) as raised:
        call_command("lint_migrations")

    assert str(raised.value).splitlines() == [
        ("analytics: analytics.0002_second: Remove field name from Thing: older code names the column in each query."),
        "Split each change, or mark its migration: see --help.",
    ]
    assert raised.value.returncode == 1


def test_lint__json(write_migrations: Write) -> None:
    """With --json the output is a list of objects."""
    write_migrations("analytics", second("migrations.RemoveField('Thing', 'name')"))
    output = StringIO()

    with pytest.raises(CommandError):
        call_command("lint_migrations", "--json", stdout=output)

    (found,) = json.loads(output.getvalue())
    assert (found["alias"], found["migration"]) == ("analytics", "analytics.0002_second")


def test_lint__the_service(capsys: pytest.CaptureFixture[str]) -> None:
    """The migrations of the service pass; those of Django and of other packages are not checked."""
    call_command("lint_migrations")

    checked, said = capsys.readouterr().out.split(" ", 1)
    assert int(checked) >= 4
    assert said == "migrations: older code survives each, or it is marked as contract.\n"
    with pytest.raises(CommandError, match=r"contenttypes\.0002_remove_content_type_name"):
        call_command("lint_migrations", "contenttypes")


def test_lint__unmanaged_owner(write_migrations: Write, settings: Settings) -> None:
    """Migrations of an unmanaged owner run nowhere, and are not checked."""
    write_migrations("analytics", second("migrations.RemoveField('Thing', 'name')"))
    settings.SWITCHYARD = {**settings.SWITCHYARD, "UNMANAGED": ["analytics"]}

    call_command("lint_migrations")


def test_lint__unknown_app() -> None:
    """The error names the app."""
    with pytest.raises(CommandError, match=r"^No installed app is named nothing\.$"):
        call_command("lint_migrations", "nothing")
