"""Statements that may write because of the functions that they call."""

import pytest
from django.db import connections
from pytest_django import Settings
from tests.support.orm_reads import texts_of

from switchyard.routing.monitor.probes import volatile_functions
from switchyard.routing.monitor.probes.volatile_functions import Catalog, cache_catalog, may_write
from switchyard.sql import classify


@pytest.fixture(autouse=True)
def no_functions_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test without read-only functions from a server."""
    monkeypatch.setattr(volatile_functions, "_catalogs", {})


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
    """The text alone decides, and an unknown function may write."""
    assert may_write(classify(sql, vendor), "default") is expected


def test_may_write__read_only_functions_of_the_server() -> None:
    """They count for this alias alone, and every function of the text must be read-only."""
    cache_catalog("default", Catalog(read_only=frozenset({"tidy"})))

    assert not may_write(classify("SELECT tidy(1)", "postgresql"), "default")
    assert may_write(classify("SELECT tidy(1), mop(2)", "postgresql"), "default")
    assert may_write(classify("SELECT tidy(1)", "postgresql"), "analytics")
    assert may_write(classify("SELECT tidy(1), nextval('x')", "postgresql"), "default")


def test_may_write__replica() -> None:
    """A replica has the functions of its owner."""
    cache_catalog("default", Catalog(read_only=frozenset({"tidy"}), overloaded=frozenset({"lower"})))

    assert not may_write(classify("SELECT tidy(1)", "postgresql"), "replica")
    assert may_write(classify("SELECT lower('x')", "postgresql"), "replica")


def test_may_write__loaded_again() -> None:
    """A function that the server no longer names may write again."""
    cache_catalog("default", Catalog(read_only=frozenset({"tidy"})))
    cache_catalog("default", Catalog(read_only=frozenset({"mop"})))

    assert may_write(classify("SELECT tidy(1)", "postgresql"), "default")


@pytest.mark.parametrize(
    ("sql", "vendor"),
    [
        ("SELECT lower(x) FROM a", "postgresql"),
        ('SELECT "lower"(x) FROM a', "postgresql"),
        ("SELECT a.x FROM a JOIN (SELECT 1) b ON true", "postgresql"),
        ("SELECT x LIKE (y) FROM a", "postgresql"),
        ("SELECT now (1)", "mysql"),
        ("SELECT COUNT(*) FROM a", "mysql"),
    ],
)
def test_may_write__a_listed_name_of_the_databases_own(sql: str, vendor: str) -> None:
    """A function of the database with a name of the list, or of the language, may be the one that is called."""
    overloaded = Catalog(overloaded=frozenset({"lower", "join", "like", "now", "count"}))
    statement = classify(sql, vendor)

    cache_catalog("default", Catalog())
    assert not may_write(statement, "default")
    cache_catalog("default", overloaded)
    assert may_write(statement, "default")


@pytest.mark.parametrize("vendor", ["postgresql", "mysql"])
def test_may_write__before_the_server_has_answered(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every function may be one of the database's own, until the catalog is loaded."""
    monkeypatch.setattr(connections["default"], "vendor", vendor)

    assert may_write(classify("SELECT lower(x) FROM a", vendor), "default")
    assert not may_write(classify("SELECT x FROM a", vendor), "default")
    cache_catalog("default", Catalog())
    assert not may_write(classify("SELECT lower(x) FROM a", vendor), "default")


def test_may_write__setting(settings: Settings) -> None:
    """The functions of READ_ONLY_FUNCTIONS are read-only on every alias, in upper and lower case."""
    settings.SWITCHYARD = {**settings.SWITCHYARD, "READ_ONLY_FUNCTIONS": ["Tidy"]}

    assert not may_write(classify("SELECT TIDY(1)", "mysql"), "legacy")
    assert may_write(classify("SELECT mop(1)", "mysql"), "legacy")


@pytest.mark.django_db(databases=["default"])
def test_may_write__reads_of_the_orm_on_sqlite() -> None:
    """None of these reads calls a function that is not known to be read-only."""
    for sql in texts_of(connections["default"]):
        statement = classify(sql, "sqlite")

        assert (statement.operation, statement.changes) == ("read", False), (sql, statement)
