"""The process of the tests as a worker of the service: real servers behind its aliases, judged by its own refresher."""

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
from tests.support.containers import until
from tests.support.servers import Servers

from accounts.models import User
from config.databases import topology
from legacy.models import Customer
from switchyard.conf import conf
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
    """Give this process the aliases of these servers, in this block; `routing` changes SWITCHYARD."""
    given = topology({**servers.environ(), **(environ or {})}, data_dir=data_dir)
    chosen = {**settings.SWITCHYARD, "OWNERS": given.owners, "REPLICAS": given.replicas, **routing}
    with connected(given.databases), override_settings(SWITCHYARD=chosen):
        yield


@contextmanager
def judged() -> Iterator[None]:
    """Judge the servers by this process, from when all of them are known to be fit."""
    monitor.start()
    try:
        for owner in conf.replicas:
            group = replication_set(owner)
            until(
                lambda group=group: (
                    group.snapshot.owner_sample and len(group.snapshot.eligible) == len(group.snapshot.replicas)
                ),
                f"'{owner}' is known",
            )
        yield
    finally:
        monitor.stop()
        connections.close_all()


def others() -> AbstractContextManager[RoutingContext]:
    """Do what is done in this block as somebody else: this test owes nothing for it."""
    return activate(task_context())


class Edge(Client):
    """A client of the service in this process. Connections are looked after between requests, as a server does."""

    def __init__(self, **defaults: Any) -> None:
        headers = {"Authorization": f"Bearer {settings.API_TOKEN}"}
        super().__init__(headers=headers, raise_request_exception=False, **defaults)

    def request(self, **asked: Any) -> Any:
        close_old_connections()
        return super().request(**asked)

    def sign_in(self, user: Model) -> None:
        """Have a session of the user's."""
        with others():
            self.force_login(user)


@dataclass(frozen=True)
class Side:
    """An owner and its replica on one vendor, and a model there with an email and a key that people know."""

    owner: str
    replica: str
    model: type[Model]
    key: str
    api: str  # lists them
    admin: str

    def create(self, name: str, email: str = OLD) -> Any:
        """Store a row on the owner."""
        values = {self.key: name, "email": email}
        if self.model is Customer:
            values["created_at"] = NOON
        return self.model._default_manager.create(**values)

    def get(self, name: str) -> Any:
        """Return the row from where the routers look for it."""
        return self.model._default_manager.get(**{self.key: name})

    def exists(self, name: str) -> bool:
        """Tell whether the row is where the routers look for it."""
        return self.model._default_manager.filter(**{self.key: name}).exists()

    def on_owner(self) -> Any:
        """Return all rows of the owner."""
        return self.model._default_manager.using(self.owner)

    def judged(self) -> Replica:
        """Return what is known about the replica."""
        return replication_set(self.owner).snapshot.replicas[0]


SIDES = {
    "postgresql": Side("default", "replica", User, "username", "/api/users", "/admin/accounts/user/"),
    "mysql": Side("legacy", "legacyreplica", Customer, "name", "/api/legacy/customers", "/admin/legacy/customer/"),
}


def counted(name: str, **labels: str) -> float:
    """Return the sum of the samples with these labels."""
    return sum(
        value
        for (sample, given), value in snapshot().items()
        if sample == name and labels.items() <= dict(given).items()
    )
