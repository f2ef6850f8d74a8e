"""Missing migrations of a replica."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.test import override_settings

from switchyard.routing.monitor.probes import recorded_migrations
from switchyard.routing.monitor.probes.recorded_migrations import (
    PendingMigrations,
    ReplicaMigrations,
    missing_migrations,
)


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
    monkeypatch.setattr(recorded_migrations, "_on_disk", lambda: disk)

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


def test_pending_migrations__counted_again(replica: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted at each probe while there are some, otherwise in each interval; a table that is missing is no fault."""
    now = iter(100 + step * 5 / 3 for step in range(20))
    monkeypatch.setattr(recorded_migrations, "time", SimpleNamespace(monotonic=lambda: next(now)))
    check, cursor, counted = PendingMigrations("default"), replica.cursor(), list[int | None]()

    def count() -> None:
        assert check(cursor) == ""
        counted.append(check.count)

    count()
    cursor.execute("CREATE TABLE django_migrations (app text, name text)")
    for _ in range(3):  # the next is due after 5 seconds
        count()
    missing = missing_migrations("default", set())
    cursor.executemany("INSERT INTO django_migrations VALUES (?, ?)", missing[1:])
    count()
    cursor.execute("INSERT INTO django_migrations VALUES (?, ?)", missing[0])
    count()
    cursor.execute("DELETE FROM django_migrations")
    for _ in range(3):
        count()

    assert counted == [None, None, None, len(missing), 1, 0, 0, 0, len(missing)]


def test_pending_migrations__unmanaged(replica: sqlite3.Connection) -> None:
    """An owner whose tables others make is not asked."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "UNMANAGED": ["legacy"]}):
        check = PendingMigrations("legacy")
    check(replica.cursor())

    assert check.count is None


def test_replica_migrations__an_owner_without_migrations(replica: sqlite3.Connection) -> None:
    """Without migrations of the owner, no query is sent."""
    assert ReplicaMigrations("of no app")(replica.cursor()) == ""
