"""`crossdb_references`: its table, its JSON and its exit codes."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connections

from switchyard.crossdb.references.tombstones import State, Tombstone

pytestmark = pytest.mark.django_db(databases=["default"])

LABEL = "analytics.AnalyticsEvent.user"


@pytest.fixture(autouse=True)
def _no_tombstones(db: None) -> None:
    Tombstone.objects.using("default").all().delete()


def execute(sql: str) -> None:
    """Run a statement on the owner of the parents."""
    with connections["default"].cursor() as cursor:
        cursor.execute(sql)


def ran(*arguments: str) -> tuple[int, str]:
    """Return the exit code and the output of the command."""
    output, code = StringIO(), 0
    try:
        call_command("crossdb_references", *arguments, stdout=output)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, output.getvalue()


def cells(output: str) -> list[str]:
    """Return the cells of the first row of the table."""
    (row,) = [line for line in output.splitlines() if line.startswith("│")]
    return [cell.strip() for cell in row.strip("│").split("│")]


def tombstone(state: State, error: str = "") -> None:
    """Make a tombstone."""
    Tombstone.objects.using("default").create(reference=LABEL, parent_key="1", state=state, error=error)


def test_references__all_well() -> None:
    """Each reference has a row, and the exit code is 0."""
    code, output = ran()

    assert code == 0
    assert cells(output) == [
        *(LABEL, "default -> analytics", "CASCADE", "triggers", "2 of 2", "well"),
        *("0", "", "0", "0"),
    ]


def test_references__tombstones() -> None:
    """The row has the tombstones by state; those that wait are no fault."""
    tombstone(State.WAITING)
    tombstone(State.HANDLED)
    code, output = ran()

    assert code == 0
    assert cells(output)[6:] == ["1", "0 s", "0", "1"]


def test_references__set_aside() -> None:
    """A tombstone that was set aside gives the exit code 1 and its error."""
    tombstone(State.SET_ASIDE, "IntegrityError")
    code, output = ran()

    assert (code, cells(output)[5], cells(output)[8]) == (1, "set aside", "1")
    assert f"{LABEL}: newest error of a tombstone that was set aside: IntegrityError" in output


def test_references__missing_trigger() -> None:
    """A missing trigger gives the exit code 1 and its name."""
    execute("DROP TRIGGER deletions_analytics_analyticsevent_user_id_delete")
    code, output = ran()

    assert (code, cells(output)[4:6]) == (1, ["1 of 2", "trigger missing"])
    assert f"{LABEL}: missing on default: deletions_analytics_analyticsevent_user_id_delete" in output


def test_references__unknown_reference() -> None:
    """Tombstones that no installed model records give the exit code 1, a row without children and what to do."""
    Tombstone.objects.using("default").create(reference="shop.Order.user", parent_key="1")
    code, output = ran()
    row = next(line for line in output.splitlines() if "│ shop.Order.user" in line)

    assert code == 1
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("shop.Order.user", "default", "", "", "", "unknown reference"),
        *("1", "0 s", "0", "0"),
    ]
    assert "shop.Order.user: no installed model records these deletions." in output
    assert "UPDATE switchyard_tombstone SET reference" in output


def test_references__unreadable() -> None:
    """An owner that cannot be read gives the exit code 3 and the reason."""
    execute("DROP TABLE switchyard_tombstone")
    code, output = ran()

    assert (code, cells(output)[5:]) == (3, ["unreadable", "", "", "", ""])
    assert f"{LABEL}: default cannot be read: no such table: switchyard_tombstone. If its tables" in output


def test_references__as_json() -> None:
    """--json prints the same as a list of objects."""
    tombstone(State.SET_ASIDE, "IntegrityError")
    code, output = ran("--json")
    (found,) = json.loads(output)

    assert code == 1
    assert (found["reference"], found["state"], found["set_aside_error"]) == (LABEL, "set aside", "IntegrityError")
    assert found["tombstones"] == {"waiting": 0, "set_aside": 1, "handled": 0, "oldest_age_seconds": 0.0}
