"""The checks of references that ask the server, on SQLite. tests/integration/test_deletion_checks.py has the others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.parents import execute

from config.databases import topology
from switchyard.crossdb.references.checks.servers import check_parents, role_of_migrations

TRIGGER = "deletions_analytics_analyticsevent_user_id_delete"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Path:
    """Return a directory with the migrated file of `default`."""
    directory = tmp_path_factory.mktemp("migrated")
    with django_db_blocker.unblock(), connected(topology({}, data_dir=directory).databases):
        call_command("migrate", database="default", verbosity=0)
    return directory


@pytest.fixture
def default(migrated: Path, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Connect the aliases to a copy of the migrated file, which the test may change."""
    for file in migrated.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with django_db_blocker.unblock(), connected(topology({}, data_dir=tmp_path).databases):
        yield


@pytest.mark.usefixtures("default")
def test_parents__of_the_service() -> None:
    """A migrated owner records its deletions; an alias without parents is not asked."""
    assert check_parents(databases=["default"]) == []
    assert check_parents(databases=["analytics", "replica"]) == []
    assert check_parents(databases=None) == []


@pytest.mark.usefixtures("default")
def test_trigger__is_missing() -> None:
    """A trigger that is gone while its migration is recorded as applied is named."""
    execute("default", f"DROP TRIGGER {TRIGGER}")
    (found,) = check_parents(databases=["default"])

    assert found.id == "switchyard.E022"
    assert found.msg == (
        "'default' does not record the deletions of accounts.User for analytics.AnalyticsEvent.user."
        f" Missing or disabled there: {TRIGGER}."
    )
    assert "sqlmigrate accounts 0002_record_deletions_for_events --database=default" in str(found.hint)


@pytest.mark.usefixtures("default")
def test_table__is_missing() -> None:
    """The table of tombstones is named as the triggers are."""
    execute("default", "DROP TABLE switchyard_tombstone")
    (found,) = check_parents(databases=["default"])

    assert found.msg.endswith("there: switchyard_tombstone.")


@pytest.mark.usefixtures("default")
def test_trigger__of_a_pending_migration() -> None:
    """Before the migration there is no trigger, and others report the migration."""
    execute("default", f"DROP TRIGGER {TRIGGER}")
    execute("default", "DELETE FROM django_migrations WHERE app = 'accounts' AND name LIKE '0002%%'", [])

    assert check_parents(databases=["default"]) == []


@pytest.mark.usefixtures("default")
def test_trigger__on_an_unmanaged_owner() -> None:
    """E018 reports an unmanaged owner of parents, with or without triggers."""
    execute("default", f"DROP TRIGGER {TRIGGER}")
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "UNMANAGED": ["default"]}):
        assert check_parents(databases=["default"]) == []


def test_migrate__of_an_empty_file(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    """The first `migrate` of an owner reports nothing, and makes what the check then finds; so does a second one."""
    with django_db_blocker.unblock(), connected(topology({}, data_dir=tmp_path).databases):
        call_command("migrate", database="default", verbosity=0)
        assert check_parents(databases=["default"]) == []
        call_command("migrate", database="default", verbosity=0)

        assert check_parents(databases=["default"]) == []


@pytest.mark.usefixtures("default")
def test_tombstones__of_an_unknown_reference() -> None:
    """Tombstones that no worker takes are counted by their label, on an owner with and without references."""
    execute("default", "INSERT INTO switchyard_tombstone VALUES (1, 'shop.Order.user', '1', 0, 0, 0, 0, '')")
    (found,) = check_parents(databases=["default"])

    assert found.id == "switchyard.W013"
    assert found.msg.startswith("'default' has 1 tombstones of shop.Order.user, whose deletions no installed model")
    assert "UPDATE switchyard_tombstone" in str(found.hint)
    assert check_parents(databases=["analytics", "replica"]) == []


@pytest.mark.usefixtures("default")
def test_tombstones__in_migrate() -> None:
    """`migrate` does not report them: its migrations may be about to change the names."""
    execute("default", "INSERT INTO switchyard_tombstone VALUES (1, 'shop.Order.user', '1', 0, 0, 0, 0, '')")
    with role_of_migrations():
        assert check_parents(databases=["default"]) == []
