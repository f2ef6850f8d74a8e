"""The process of the tests as a worker of the service: real servers behind its aliases, and a running monitor.

The fixtures `watched` and `watched_two` of `tests/integration/conftest.py` are made of these blocks.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connections
from django.db.models import Model
from django.test import Client, override_settings
from tests.support.connected import connected
from tests.support.servers import Servers
from tests.support.waiting import until

from accounts.models import User
from config.databases import topology
from legacy.models import Customer
from switchyard.conf import conf
from switchyard.routing.contrib.client_tokens import COOKIE
from switchyard.routing.monitor import monitor
from switchyard.routing.session.context import RoutingContext, activate, task_context
from switchyard.routing.topology.replication import Replica, replication_set
from switchyard.telemetry import snapshot

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
OLD, NEW = "old@example.org", "new@example.org"


@contextmanager
def declared(
    servers: Servers, data_dir: Path, environ: Mapping[str, str] | None = None, **routing: Any
) -> Iterator[None]:
    """Use the servers as the aliases of this process in this block.

    `environ` adds DATABASE_* variables to those of the servers; `routing` changes keys of SWITCHYARD.
    """
    given = topology({**servers.environ(), **(environ or {})}, data_dir=data_dir)
    chosen = {
        **settings.SWITCHYARD,
        "OWNERS": given.switchyard["OWNERS"],
        "REPLICAS": given.switchyard["REPLICAS"],
        **routing,
    }
    with connected(given.databases), override_settings(SWITCHYARD=chosen):
        yield


@contextmanager
def monitored() -> Iterator[None]:
    """Run the monitor of this process in this block; the block begins when all replicas are known to be fit."""
    monitor.start()
    try:
        for owner in conf.replicas:
            group = replication_set(owner)
            until(
                lambda group=group: (
                    group.snapshot.owner_sample and len(group.snapshot.eligible) == len(group.snapshot.replicas)
                ),
                f"the replicas of '{owner}' are fit",
            )
        yield
    finally:
        monitor.stop()
        connections.close_all()


def others() -> AbstractContextManager[RoutingContext]:
    """Run this block as another client: its writes are no requirement of the test."""
    return activate(task_context())


class Edge(Client):
    """A client of the service in this process. Before a request it closes old connections, as a server does."""

    def __init__(self, **defaults: Any) -> None:
        headers = {"Authorization": f"Bearer {settings.API_TOKEN}"}
        super().__init__(headers=headers, raise_request_exception=False, **defaults)

    def request(self, **request: Any) -> Any:
        close_old_connections()
        return super().request(**request)

    def tokens(self) -> dict[str, str]:
        """Return the cookies with tokens that the next request sends."""
        return {name: each.value for name, each in self.cookies.items() if name.startswith(COOKIE) and each.value}

    def sign_in(self, user: Model) -> None:
        """Sign the user in, as another client: the session is no requirement of the test."""
        with others():
            self.force_login(user)


@dataclass(frozen=True)
class Side:
    """An owner and its replica on one vendor, with a model there that has an email and a readable key."""

    owner: str
    replica: str
    model: type[Model]
    key: str  # the field with the readable key
    api: str  # path of the API's list
    admin: str  # path of the admin's list

    def create(self, name: str, email: str = OLD) -> Any:
        """Create a row on the owner."""
        values = {self.key: name, "email": email}
        if self.model is Customer:
            values["created_at"] = NOON
        return self.model._default_manager.create(**values)

    def get(self, name: str) -> Any:
        """Read the row from the alias that the routers choose."""
        return self.model._default_manager.get(**{self.key: name})

    def exists(self, name: str) -> bool:
        """Return True if the alias that the routers choose has the row."""
        return self.model._default_manager.filter(**{self.key: name}).exists()

    def on_owner(self) -> Any:
        """Return the queryset of all rows on the owner."""
        return self.model._default_manager.using(self.owner)

    def known_replica(self) -> Replica:
        """Return the replica of the newest snapshot."""
        return replication_set(self.owner).snapshot.replicas[0]


SIDES = {
    "postgresql": Side("default", "replica", User, "username", "/api/users", "/admin/accounts/user/"),
    "mysql": Side("legacy", "legacyreplica", Customer, "name", "/api/legacy/customers", "/admin/legacy/customer/"),
}


def counted(name: str, **labels: str) -> float:
    """Return the sum of the metric's samples with these labels."""
    return sum(
        value
        for (sample, given), value in snapshot().items()
        if sample == name and labels.items() <= dict(given).items()
    )
