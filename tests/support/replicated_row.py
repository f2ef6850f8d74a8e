"""One row on an owner and its replica, once on PostgreSQL and once on MySQL, as fixtures.

A test module imports `both_vendors` and `row`, and lists them in its `__all__`. No monitor runs.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Manager
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.servers import Servers

from accounts.models import User
from config.databases import topology
from legacy.models import Customer
from switchyard.routing.session.context import activate, task_context

OLD, NEW = "old@example.org", "new@example.org"


@dataclass
class ReplicatedRow:
    """One row on an owner and its replica, with the email `OLD`."""

    owner: str
    replica: str
    objects: Manager[Any]

    def email(self) -> str:
        """Read the email of the row from the alias that the routers choose."""
        return str(self.objects.get().email)


@pytest.fixture
def both_vendors(mysql_pair: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """The four servers and `legacyreplica`, empty, behind the aliases of this process; `legacy` takes writes."""
    mysql_pair.clean()
    given = topology(mysql_pair.environ(), data_dir=tmp_path)
    routing = {key: given.switchyard[key] for key in ("OWNERS", "REPLICAS")}
    with django_db_blocker.unblock(), connected(given.databases), override_settings(SWITCHYARD=routing):
        yield mysql_pair


@pytest.fixture(params=["default", "legacy"])
def row(request: pytest.FixtureRequest, both_vendors: Servers) -> Iterator[ReplicatedRow]:
    """A row on PostgreSQL, then on MySQL. The test has a consistency state of its own."""
    with activate(task_context()):
        if request.param == "default":
            User.objects.create(username="ada", email=OLD)
            found = ReplicatedRow("default", "replica", User.objects)
        else:
            Customer.objects.create(name="ada", email=OLD, created_at=dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC))
            found = ReplicatedRow("legacy", "legacyreplica", Customer.objects)
        both_vendors.caught_up(found.replica)
        yield found
