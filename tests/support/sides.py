"""An owner with its replica on each vendor, as fixtures: import `both` and `side` where they are used."""

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
class Side:
    """An owner and its replica, both with one row."""

    owner: str
    replica: str
    rows: Manager[Any]

    def email(self) -> str:
        """Return the row's address from where the routers look for it."""
        return str(self.rows.get().email)


@pytest.fixture
def both(mysql_pair: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """The four servers and `legacyreplica`, empty, behind this process' aliases; `legacy` may be written."""
    mysql_pair.clean()
    given = topology(mysql_pair.environ(), data_dir=tmp_path)
    routing = {"OWNERS": given.owners, "REPLICAS": given.replicas}
    with django_db_blocker.unblock(), connected(given.databases), override_settings(SWITCHYARD=routing):
        yield mysql_pair


@pytest.fixture(params=["default", "legacy"])
def side(request: pytest.FixtureRequest, both: Servers) -> Iterator[Side]:
    """PostgreSQL or MySQL; what the test owes is its own."""
    with activate(task_context()):
        if request.param == "default":
            User.objects.create(username="ada", email=OLD)
            side = Side("default", "replica", User.objects)
        else:
            Customer.objects.create(name="ada", email=OLD, created_at=dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC))
            side = Side("legacy", "legacyreplica", Customer.objects)
        both.caught_up(side.replica)
        yield side
