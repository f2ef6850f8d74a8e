"""`flush` empties the tables of recorded parents on a real server, whose triggers refuse every other TRUNCATE."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connections, transaction
from django.test import TransactionTestCase
from pytest_django.plugin import DjangoDbBlocker
from tests.integration.conftest import manage
from tests.support.connected import connected
from tests.support.parents import execute, recorded
from tests.support.servers import Servers

from accounts.models import User
from config.databases import topology

pytestmark = pytest.mark.docker

REFERENCE = "analytics.AnalyticsEvent.user"


@pytest.fixture
def as_migrator(servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """The four servers behind the aliases of this process, as the migrator; `default` has a user and a tombstone."""
    servers.clean()
    databases = topology(servers.environ("migrator"), data_dir=tmp_path).databases
    with django_db_blocker.unblock(), connected(databases):
        User.objects.using("default").create(username="ada").delete()
        User.objects.using("default").create(username="grace")
        assert len(recorded("default", REFERENCE)) == 1
        yield servers


def is_empty() -> bool:
    """Return True if neither users nor tombstones are on `default`, and TRUNCATE is refused again."""
    with pytest.raises(DatabaseError, match="is refused"), transaction.atomic(using="default"):
        execute("default", "TRUNCATE accounts_user CASCADE")
    return not User.objects.using("default").exists() and recorded("default", REFERENCE) == []


def test_flush__empties_parents_and_tombstones(as_migrator: Servers) -> None:
    """The command works where TRUNCATE by anything else is refused, and leaves no tombstone."""
    call_command("flush", interactive=False, verbosity=0)

    assert is_empty()


def test_flush__inside_a_transaction(as_migrator: Servers) -> None:
    """TRUNCATE is refused again also in the rest of the transaction."""
    with transaction.atomic(using="default"):
        call_command("flush", interactive=False, verbosity=0, inhibit_post_migrate=True)
        assert is_empty()


def test_flush__by_a_transaction_test_case(as_migrator: Servers) -> None:
    """The tear-down of Django's TransactionTestCase works: a tombstone of one test does not reach the next test."""

    class Case(TransactionTestCase):
        databases = frozenset({"default"})
        available_apps = None

    Case("run")._fixture_teardown()

    assert is_empty()


def test_sqlflush__prints_sql_that_works(as_migrator: Servers) -> None:
    """The printed SQL runs in a client, and empties both tables."""
    connections.close_all()
    printed = manage("sqlflush", **as_migrator.environ("migrator"))
    assert printed.returncode == 0, printed.stderr
    server = as_migrator.by_alias["default"].container
    ran = server.exec_run(["psql", "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-c", printed.stdout, "switchyard"])

    assert ran.exit_code == 0, ran.output
    assert is_empty()
