"""`in_batches()`: which rows it yields, how it reports, and where it stops."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from rich.console import Console

from accounts.models import User
from switchyard.migrations import _progress, in_batches
from switchyard.testing import assert_queries

type Write = Callable[[str, dict[str, str]], None]

FILL = """
atomic = False
{restartable}
dependencies = [('analytics', '0001_first')]
def fill(apps, schema_editor):
    import os
    from switchyard.migrations import in_batches
    rows = apps.get_model('analytics', 'Row').objects.using(schema_editor.connection.alias).filter(done=False)
    for number, batch in enumerate(in_batches(rows, size=2)):
        batch.update(done=True)
        if number == 0 and {stop}:
            os.kill(os.getpid(), 15)
operations = [migrations.RunPython(fill)]
"""
FIRST = """
def rows(apps, schema_editor):
    Row = apps.get_model('analytics', 'Row')
    Row.objects.using(schema_editor.connection.alias).bulk_create([Row() for _ in range(5)])
operations = [
    migrations.CreateModel('Row', [
        ('id', models.BigAutoField(primary_key=True)), ('done', models.BooleanField(default=False)),
    ]),
    migrations.RunPython(rows),
]
"""


@pytest.fixture
def users(db: None) -> list[int]:
    """Make five users, and return their keys."""
    return [User.objects.create(username=f"user{number}").pk for number in range(5)]


@pytest.mark.django_db(databases=["default"])
def test_in_batches__all_rows_once(users: list[int]) -> None:
    """Each row is in one batch, in the order of the keys, and the last batch may be smaller."""
    batches = [
        list(batch.order_by("pk").values_list("pk", flat=True)) for batch in in_batches(User.objects.all(), size=2)
    ]

    assert batches == [users[:2], users[2:4], users[4:]]


@pytest.mark.django_db(databases=["default"])
def test_in_batches__rows_that_leave_the_conditions(users: list[int]) -> None:
    """A batch whose update takes its rows out of the queryset does not hide the rows after them."""
    changed = [batch.update(is_active=False) for batch in in_batches(User.objects.filter(is_active=True), size=2)]

    assert changed == [2, 2, 1]


@pytest.mark.django_db(databases=["default"])
def test_in_batches__queries(users: list[int]) -> None:
    """One query counts, and one reads the keys of each batch and of the end."""
    with assert_queries(default=5):
        assert len(list(in_batches(User.objects.using("default"), size=2))) == 3


@pytest.mark.django_db(databases=["default"])
def test_in_batches__no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Without rows there is no batch and no report."""
    assert list(in_batches(User.objects.none())) == []
    assert capsys.readouterr().err == ""


@pytest.mark.django_db(databases=["default"])
def test_in_batches__lines(
    users: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where stderr is no terminal, lines say how many rows are done and how long the rest takes."""
    monkeypatch.setattr(_progress, "_LINE_INTERVAL_SECONDS", 0)

    for _ in in_batches(User.objects.using("default"), size=2):
        pass

    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"about \d+ s", "about N s", line) for line in lines] == [
        f"accounts.User on 'default': {done} of 5 rows ({percent} %), about N s left"
        for done, percent in ((2, 40), (4, 80), (5, 100))
    ]


@pytest.mark.django_db(databases=["default"])
def test_in_batches__few_lines(users: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """A short migration writes no line."""
    for _ in in_batches(User.objects.using("default"), size=1):
        pass

    assert capsys.readouterr().err == ""


@pytest.mark.django_db(databases=["default"])
def test_in_batches__terminal(users: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar shows the rows that are done."""
    screen = io.StringIO()
    monkeypatch.setattr(_progress, "Console", lambda **_options: Console(file=screen, force_terminal=True, width=100))

    for _ in in_batches(User.objects.using("default"), size=2):
        pass

    assert "accounts.User on 'default'" in screen.getvalue()
    assert "5/5" in screen.getvalue()


def done(alias: str) -> int:
    """Return the number of rows that the migration has filled."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM analytics_row WHERE done")
        return int(cursor.fetchone()[0])


def test_sigterm__between_two_batches(empty_databases: Path, write_migrations: Write) -> None:
    """A restartable migration ends between two batches and keeps what it did; the next start continues."""
    fill = FILL.format(restartable="restartable = True", stop="rows.count() == 3")
    write_migrations("analytics", {"0001_first": FIRST, "0002_fill": fill})

    with pytest.raises(CommandError, match="Stopped by SIGTERM") as raised:
        call_command("migrate", "analytics", database="analytics", verbosity=0)

    assert (raised.value.returncode, done("analytics")) == (1, 2)
    call_command("migrate", "analytics", database="analytics", verbosity=0)
    assert done("analytics") == 5


def test_sigterm__in_a_migration_that_may_not_stop(empty_databases: Path, write_migrations: Write) -> None:
    """Any other migration runs to its end."""
    write_migrations("analytics", {"0001_first": FIRST, "0002_fill": FILL.format(restartable="", stop="True")})

    call_command("migrate", "analytics", database="analytics", verbosity=0)

    assert done("analytics") == 5
