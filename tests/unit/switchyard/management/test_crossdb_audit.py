"""`crossdb_audit` on SQLite: its exit codes and its output."""

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import models
from rich.console import Console
from tests.support.moments import NOON
from tests.unit.switchyard.migrations.conftest import empty_databases

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.management.commands import crossdb_audit

__all__ = ["empty_databases"]  # a fixture

LABEL = "analytics.AnalyticsEvent.user"
databases = pytest.mark.django_db(databases=["default", "analytics"])


def run(*arguments: str) -> tuple[int, str]:
    """Return the exit code and the output of the command."""
    output, code = StringIO(), 0
    try:
        call_command("crossdb_audit", *arguments, stdout=output)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, output.getvalue()


def found(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code, and what the command prints as JSON of the only reference."""
    code, output = run("--json", *arguments)
    (each,) = json.loads(output)
    return code, each


def store(*keys: int) -> None:
    """Store the user 1, and an event of each of these users."""
    User.objects.create(pk=1, username="ada")
    AnalyticsEvent.objects.bulk_create([AnalyticsEvent(user_id=key, kind="view", at=NOON) for key in keys])


@databases
def test_audit__no_orphan() -> None:
    """Without orphans the command ends with 0."""
    store(1, 1)

    assert found() == (
        0,
        {
            "reference": LABEL,
            "state": "no orphan",
            "checked": 1,
            "orphan_keys": 0,
            "orphans": 0,
            "fixed": 0,
            "waiting_tombstones": 0,
            "examples": [],
            "error": "",
        },
    )


@databases
def test_audit__orphans() -> None:
    """Orphans end the command with 1, and stay."""
    store(1, 2, 2, 3)

    code, each = found()

    assert (code, each["state"], each["orphans"], each["fixed"], each["examples"]) == (1, "orphans", 3, 0, [2, 3])
    assert AnalyticsEvent.objects.count() == 4


@databases
def test_audit__fixed() -> None:
    """With --fix nothing is left, and the command ends with 0."""
    store(1, 2, 2, 3)

    code, each = found("--fix")

    assert (code, each["state"], each["orphans"], each["fixed"]) == (0, "fixed", 3, 3)
    assert found()[0] == 0


@databases
def test_audit__table() -> None:
    """The table has the exact numbers, and at most ten keys stand below it."""
    store(1, *range(1001, 3001))

    code, output = run()

    assert code == 1
    assert re.search(rf"{re.escape(LABEL)} +│ orphans +│ 2,001 +│ 2,000 +│ 2,000 +│ 0 +│ 0 ", output)
    shown = ", ".join(map(str, range(1001, 1011)))
    assert output.endswith(f"{LABEL}: keys without a parent: the first 10 of 2,000: {shown}\n")


@databases
def test_audit__do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """--fix leaves the orphans of DO_NOTHING, says so, and ends with 1."""
    monkeypatch.setattr(AnalyticsEvent._meta.get_field("user"), "on_delete", models.DO_NOTHING)
    store(1, 2)

    code, output = run("--fix")

    assert code == 1
    assert f"{LABEL}: keys without a parent: 2\n" in output
    assert output.endswith(f"{LABEL}: on_delete is DO_NOTHING: --fix leaves these rows\n")


@databases
def test_audit__terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the number of keys that were asked for is shown."""
    store(1, 2)
    screen = StringIO()
    shown_on = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(crossdb_audit, "Console", lambda **_options: shown_on)

    run()

    assert re.search(rf"{re.escape(LABEL)}: 2 keys, 1 orphans .*keys/s", screen.getvalue())


@databases
def test_audit__pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is no terminal, nothing is written there."""
    store(1, 2)

    run()

    assert capsys.readouterr().err == ""


@databases
def test_audit__chosen() -> None:
    """--reference takes a reference, and the same one twice is audited once."""
    store(1)

    assert found(f"--reference={LABEL}", f"--reference={LABEL}")[0] == 0


def test_audit__unknown_reference() -> None:
    """The error names the references to choose from."""
    with pytest.raises(CommandError, match=rf"'x\.Y\.z' is no CrossDatabaseForeignKey\. Name one of: {LABEL}\."):
        run("--reference=x.Y.z")


def test_audit__unreadable(empty_databases: Path) -> None:
    """A table that cannot be read ends the command with 3."""
    code, each = found()

    assert (code, each["state"], each["error"]) == (3, "failed", "no such table: analytics_analyticsevent")
