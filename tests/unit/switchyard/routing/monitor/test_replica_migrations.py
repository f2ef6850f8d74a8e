"""Missing migrations of a replica."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from switchyard.routing.monitor import replica_migrations
from switchyard.routing.monitor.replica_migrations import ReplicaMigrations, missing_migrations


@pytest.fixture
def replica() -> Iterator[sqlite3.Connection]:
    """A server without a table."""
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


def test_missing_migrations__a_fresh_replica() -> None:
    """All migrations of the owner are missing, and none of other owners."""
    missing = missing_migrations("default", set())

    assert ("accounts", "0001_initial") in missing
    assert {"analytics", "reporting", "legacy"}.isdisjoint(app for app, _ in missing)


def test_missing_migrations__a_replica_ahead_of_the_code() -> None:
    """Applied migrations that are not on disk are ignored."""
    applied = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations) | {("accounts", "9999_later")}

    assert missing_migrations("default", applied) == []
    assert missing_migrations("default", applied - {("accounts", "0001_initial")}) == [("accounts", "0001_initial")]


def test_missing_migrations__squashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A squashed migration stands for all migrations that it replaces, and they stand for it."""
    parts = [("accounts", "0001_initial"), ("accounts", "0002_more")]
    squashed: Any = Migration("0001_squashed", "accounts")
    squashed.replaces = parts
    disk = {key: Migration(key[1], key[0]) for key in parts} | {("accounts", "0001_squashed"): squashed}
    monkeypatch.setattr(replica_migrations, "_on_disk", lambda: disk)

    assert missing_migrations("default", set(parts)) == []
    assert missing_migrations("default", {("accounts", "0001_squashed")}) == []
    assert missing_migrations("default", {parts[0]}) == [("accounts", "0001_squashed"), parts[1]]


def test_replica_migrations__until_complete(replica: sqlite3.Connection) -> None:
    """The check returns `unmigrated` until no migration is missing, and then sends no query."""
    check, cursor = ReplicaMigrations("default"), replica.cursor()
    with pytest.raises(sqlite3.OperationalError, match="no such table: django_migrations"):
        check(cursor)
    cursor.execute("CREATE TABLE django_migrations (app text, name text)")
    assert check(cursor) == "unmigrated"
    cursor.executemany("INSERT INTO django_migrations VALUES (?, ?)", missing_migrations("default", set()))
    assert check(cursor) == ""
    cursor.execute("DROP TABLE django_migrations")

    assert check(cursor) == ""


def test_replica_migrations__an_owner_without_migrations(replica: sqlite3.Connection) -> None:
    """Without migrations of the owner, no query is sent."""
    assert ReplicaMigrations("of no app")(replica.cursor()) == ""
