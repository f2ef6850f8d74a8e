"""Slow and failing statements, without values."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler
from pytest_django.plugin import DjangoDbBlocker

from switchyard.routing.connections import calls, events
from switchyard.telemetry.recent.entries import Entries, Entry
from switchyard.telemetry.recent.statements import STATEMENTS, discard, drain


@pytest.fixture(autouse=True)
def _nothing_waits() -> Iterator[None]:
    """Let no call of another test wait, and none of this one."""
    discard()
    yield
    discard()


@pytest.fixture
def connection(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[BaseDatabaseWrapper]:
    """A connection of the alias `analytics` to a file of the test's own."""
    with django_db_blocker.unblock():
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "statements.sqlite3")}
        connection: Any = ConnectionHandler({"default": database, "analytics": database})["analytics"]
        yield connection
        connection.close()


def run(connection: BaseDatabaseWrapper, sql: str, *parameters: object) -> None:
    """Execute the statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def call(**changes: Any) -> list[Entry]:
    """Let a call stand out, and return its entries."""
    usual = {"alias": "default", "vendor": "postgresql", "sql": "SELECT 1", "seconds": 0.5, "error": None}
    events.call_stood_out.send(sender=None, **{**usual, **changes})
    return drain()


def test_drain__failing_statement(connection: BaseDatabaseWrapper) -> None:
    """A failing statement is kept with the class of its error, and without any value."""
    with pytest.raises(DatabaseError):
        run(connection, "SELECT x FROM missing WHERE name = 'secret' AND id = %s", "secret")
    (found,) = drain()

    assert (found["alias"], found["statement"]) == ("analytics", "SELECT x FROM missing WHERE name = ? AND id = ?")
    assert (found["calls"], found["errors"]) == (1, {"OperationalError": 1})
    assert "secret" not in json.dumps(found)


def test_drain__slow_statement(connection: BaseDatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement over the threshold is kept with its seconds."""
    monkeypatch.setattr(calls, "SLOW_CALL_SECONDS", 0.0)
    monkeypatch.setattr("switchyard.telemetry.recent.statements.SLOW_CALL_SECONDS", 0.0)
    run(connection, "SELECT 1")
    (found,) = drain()

    assert (found["statement"], found["errors"]) == ("SELECT ?", {})
    assert found["seconds"] == found["slowest_seconds"] > 0


def test_drain__fast_statement(connection: BaseDatabaseWrapper) -> None:
    """Nothing is kept of other statements."""
    run(connection, "SELECT 1")

    assert drain() == []


def test_drain__closed_generator() -> None:
    """The closing of a generator is no error; the call counts if it was slow."""
    assert call(error=GeneratorExit(), seconds=0.001) == []
    assert [entry["errors"] for entry in call(error=GeneratorExit(), seconds=0.5)] == [{}]


def test_drain__invented_alias() -> None:
    """A connection that a program made under another name counts as `other`."""
    assert [entry["alias"] for entry in call(alias="__no_db__")] == ["other"]


def test_drain__flood() -> None:
    """The calls of a flood take bounded memory."""
    for _ in range(2000):
        events.call_stood_out.send(
            sender=None, alias="default", vendor="sqlite", sql="X" * 10_000, seconds=1.0, error=None
        )

    assert len(drain()) == 1000


def test_statements__of_several_calls() -> None:
    """The calls of one statement are one entry: their number, all seconds, the slowest, the errors by class."""
    entries = Entries(STATEMENTS, None)
    entries.add([*call(seconds=0.25), *call(seconds=0.5, error=DatabaseError()), *call(error=ValueError(), seconds=0)])

    (found,) = entries.newest(0.0)
    assert (found["calls"], found["seconds"], found["slowest_seconds"]) == (3, 0.75, 0.5)
    assert found["errors"] == {"DatabaseError": 1, "ValueError": 1}
