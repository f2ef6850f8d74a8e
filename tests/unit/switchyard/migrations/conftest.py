"""Fixtures: empty SQLite files behind the four aliases, and migrations that a test writes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.written import write_migrations

from config.databases import topology

__all__ = ["write_migrations"]  # a fixture


@pytest.fixture
def empty_databases(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """Point the aliases at empty files of this test, and yield their directory."""
    with django_db_blocker.unblock(), connected(topology({}, data_dir=tmp_path).databases):
        yield tmp_path


@pytest.fixture
def tables() -> Callable[[str], set[str]]:
    """Return a function that returns the tables of an alias."""

    def names(alias: str) -> set[str]:
        return set(connections[alias].introspection.table_names())

    return names


@pytest.fixture
def recorded() -> Callable[[str], set[str]]:
    """Return a function that returns the migrations that an alias has recorded."""

    def rows(alias: str) -> set[str]:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            return {f"{app}.{name}" for app, name in cursor.fetchall()}

    return rows
