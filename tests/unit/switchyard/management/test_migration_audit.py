"""`migration_audit` on SQLite: the differences that it finds, its exit codes and its output."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django.fixtures import Settings
from tests.unit.switchyard.migrations.conftest import empty_databases

from switchyard.migrations import migrating
from switchyard.routing import allow_writes

__all__ = ["empty_databases"]  # a fixture

EVENTS, REPORTS = "analytics_analyticsevent", "reporting_analyticsreport"


@pytest.fixture
def migrated(empty_databases: Path) -> Path:
    """Migrate every owner."""
    for alias in migrating():
        call_command("migrate", database=alias, verbosity=0)
    return empty_databases


def audit(*arguments: str) -> tuple[int, str]:
    """Return the exit code and the output of the command."""
    output, code = StringIO(), 0
    try:
        call_command("migration_audit", *arguments, stdout=output)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, output.getvalue()


def of(alias: str) -> tuple[int, list[str], list[str]]:
    """Return the exit code, the problems and the notes of one alias."""
    code, output = audit("--json", f"--database={alias}")
    (found,) = json.loads(output)
    return code, found["problems"], found["notes"]


def execute(alias: str, *statements: str) -> None:
    """Run statements on the alias."""
    with allow_writes(alias, reason="a test"), connections[alias].cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def test_audit__own_databases(migrated: Path) -> None:
    """The migrated databases of the service agree with its models."""
    code, output = audit("--json")

    found = {each["alias"]: each for each in json.loads(output)}
    assert code == 0
    assert {alias: found[alias]["tables"] for alias in ("analytics", "legacy")} == {"analytics": 2, "legacy": 2}
    assert list(found) == migrating()
    assert all(each["problems"] == each["notes"] == [] for each in found.values())


def test_audit__missing_table(migrated: Path) -> None:
    """A missing table is a problem, which names its model."""
    execute("legacy", "DROP TABLE orders")

    assert of("legacy") == (2, ["orders: missing, the table of legacy.Order"], [])


def test_audit__missing_column(migrated: Path) -> None:
    """A missing column is a problem, which names its field."""
    execute("legacy", "ALTER TABLE customers DROP COLUMN email")

    assert of("legacy") == (2, ["customers.email: missing, the column of legacy.Customer.email"], [])


@pytest.mark.parametrize("definition", ["extra integer NULL", "extra integer NOT NULL DEFAULT 0"])
def test_audit__harmless_column(migrated: Path, definition: str) -> None:
    """A column that no field has is a note if inserts work without it."""
    execute("analytics", f"ALTER TABLE {EVENTS} ADD COLUMN {definition}")

    assert of("analytics") == (0, [], [f"{EVENTS}.extra: no field has this column"])


def test_audit__column_that_inserts_do_not_fill(migrated: Path) -> None:
    """A column that no field has and that needs a value is a problem."""
    execute("legacy", "DROP TABLE customers", (
        "CREATE TABLE customers (id integer PRIMARY KEY, name varchar(200) NOT NULL, email varchar(254) NOT NULL, "
        "created_at datetime NOT NULL, extra integer NOT NULL)"
    ))  # fmt: skip

    assert of("legacy") == (
        2,
        ["customers.extra: no field has this column, and it takes no NULL and has no default: inserts fail"],
        [],
    )


def test_audit__null_and_type(migrated: Path) -> None:
    """NULL and the affinity of a type are compared; a primary key is not, because SQLite lets it take NULL."""
    execute("legacy", "DROP TABLE customers", (
        "CREATE TABLE customers (id integer PRIMARY KEY, name blob NOT NULL, email varchar(99), "
        "created_at datetime NOT NULL)"
    ))  # fmt: skip

    code, problems, _ = of("legacy")

    assert (code, problems) == (
        2,
        [
            "customers.email: takes NULL, and legacy.Customer.email does not",
            "customers.name: has type BLOB, and legacy.Customer.name makes varchar(200)",
        ],
    )


def test_audit__upper_case(migrated: Path) -> None:
    """Names that differ in their case only are the same, as they are for the server."""
    execute("legacy", "ALTER TABLE customers RENAME COLUMN name TO Name", "ALTER TABLE orders RENAME TO orders_")
    execute("legacy", "ALTER TABLE orders_ RENAME TO Orders")

    assert of("legacy") == (0, [], [])


def test_audit__table_of_another_owner(migrated: Path) -> None:
    """A table of another owner's model is a problem, and a table that no model has is a note."""
    execute("analytics", "CREATE TABLE customers (id integer)", "CREATE TABLE scratch (id integer)")

    assert of("analytics") == (
        2,
        ["customers: a table of legacy.Customer, whose rows are on 'legacy'"],
        ["scratch: no model has this table"],
    )


def test_audit__unmanaged_owner(migrated: Path, settings: Settings) -> None:
    """An unmanaged owner is compared as well; other tables of it are not listed, because others make them."""
    settings.SWITCHYARD = {**settings.SWITCHYARD, "UNMANAGED": ["legacy"]}
    execute("legacy", "CREATE TABLE of_others (id integer)", "ALTER TABLE customers DROP COLUMN email")

    assert of("legacy") == (2, ["customers.email: missing, the column of legacy.Customer.email"], [])


def test_audit__pending(empty_databases: Path) -> None:
    """On a database that is not migrated each table is missing, and a note says why."""
    code, problems, notes = of("analytics")

    assert (code, len(problems)) == (2, 2)
    assert notes == [
        "3 pending, first analytics.0001_initial: the models are ahead of the tables until `migrate_all`",
    ]


def test_audit__table(migrated: Path) -> None:
    """Without --json the command prints a table, and a line for each problem and note."""
    execute("analytics", f"DROP TABLE {REPORTS}", "CREATE TABLE scratch (id integer)")

    code, output = audit("--database=analytics")

    assert code == 2
    assert f"analytics: problem: {REPORTS}: missing, the table of reporting.AnalyticsReport\n" in output
    assert "analytics: note: scratch: no model has this table\n" in output


def test_audit__unreadable(migrated: Path) -> None:
    """An owner that cannot be read ends with 3."""
    connections["analytics"].close()
    connections["analytics"].settings_dict["NAME"] = f"file:{migrated}/none.sqlite3?mode=ro"

    code, output = audit("--json", "--database=analytics")

    assert (code, json.loads(output)[0]["error"]) == (3, "unable to open database file")


def test_audit__unknown_alias(migrated: Path) -> None:
    """The error names the aliases to choose from."""
    with pytest.raises(CommandError, match=r"'nothing' is no alias of DATABASES\. Name one of: default, "):
        audit("--database=nothing")
