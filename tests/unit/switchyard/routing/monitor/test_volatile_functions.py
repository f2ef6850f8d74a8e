"""What may_write() takes for a write when a text calls functions of somebody's own."""

import pytest
from django.db import connections
from pytest_django import Settings
from tests.support.orm_reads import texts_of

from switchyard.routing.monitor import volatile_functions
from switchyard.routing.monitor.volatile_functions import cache_read_only_functions, may_write
from switchyard.sql.classifier import classify


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no server have told anything."""
    monkeypatch.setattr(volatile_functions, "_loaded", {})


@pytest.mark.parametrize(
    ("sql", "vendor", "expected"),
    [
        ("SELECT lower(x) FROM a", "postgresql", False),
        ("SELECT tidy(1)", "postgresql", True),
        ("DELETE FROM a", "postgresql", True),
        ("DROP TABLE a", "mysql", True),
        ("SELECT x FROM a FOR UPDATE", "postgresql", True),
        ("SELECT x FROM a FOR UPDATE", "mysql", False),
        ("BEGIN", "postgresql", False),
        ("SET search_path TO x", "postgresql", False),
        ("SELECT one.lower(1)", "postgresql", True),
    ],
)
def test_may_write__without_a_server(sql: str, vendor: str, expected: bool) -> None:
    """What the text itself says is believed, and an unknown function may write."""
    assert may_write(classify(sql, vendor), "default") is expected


def test_may_write__what_the_server_calls_harmless() -> None:
    """It holds for that alias alone, and for a text all of whose functions it names."""
    cache_read_only_functions("default", {"tidy"})

    assert not may_write(classify("SELECT tidy(1)", "postgresql"), "default")
    assert may_write(classify("SELECT tidy(1), mop(2)", "postgresql"), "default")
    assert may_write(classify("SELECT tidy(1)", "postgresql"), "analytics")
    assert may_write(classify("SELECT tidy(1), nextval('x')", "postgresql"), "default")


def test_may_write__loaded_anew() -> None:
    """A function that the server names no more is not harmless any more."""
    cache_read_only_functions("default", {"tidy"})
    cache_read_only_functions("default", {"mop"})

    assert may_write(classify("SELECT tidy(1)", "postgresql"), "default")


def test_may_write__the_setting(settings: Settings) -> None:
    """Functions that the setting names are harmless everywhere, in any case."""
    settings.SWITCHYARD = {**settings.SWITCHYARD, "READ_ONLY_FUNCTIONS": ["Tidy"]}

    assert not may_write(classify("SELECT TIDY(1)", "mysql"), "legacy")
    assert may_write(classify("SELECT mop(1)", "mysql"), "legacy")


@pytest.mark.django_db(databases=["default"])
def test_may_write__reads_of_the_orm_on_sqlite() -> None:
    """None of them calls what is not known to be harmless."""
    for sql in texts_of(connections["default"]):
        statement = classify(sql, "sqlite")

        assert (statement.operation, statement.changes) == ("read", False), (sql, statement)
