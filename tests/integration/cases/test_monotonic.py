"""Monotonic reads: two standbys with different lag, one of which stops and starts, while clients read."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest
from django.db import connections
from tests.support.decided import recorded
from tests.support.faults import delayed
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import Edge, others

from accounts.models import User
from switchyard.routing.topology.replication import replication_set

pytestmark = pytest.mark.docker

CLIENTS = 3
DELAY_SECONDS = 0.4
SECONDS = 3.0  # each of the three phases: both standbys up, one down, both up again


@pytest.fixture
def row(watched_two: Servers) -> User:
    """A user that all servers have; the test counts in `first_name`."""
    with others():
        user = User.objects.create(username="ada", first_name="0")
    for alias in ("replica", "replica2"):
        watched_two.caught_up(alias)
    return user


class Clients:
    """Clients that read the row again and again, each with its cookie, and the values that they read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.ended = Event()
        self.steps_back: list[str] = []
        self.reads = 0

    def read(self) -> None:
        edge, newest = Edge(), 0
        while not self.ended.is_set():
            response = edge.get(self.path)
            found = int(response.json()["first_name"])
            if found < newest:
                self.steps_back.append(f"{found} after {newest}")
            newest = max(found, newest)
            self.reads += 1
            if self.reads % 100 == 0:
                time.sleep(1)  # longer than the lag: the client may read another server then
        connections.close_all()

    def write(self, servers: Servers, pk: int) -> None:
        with closing(servers.admin("default")) as connection:
            number = 0
            while not self.ended.wait(0.005):
                number += 1
                connection.execute("UPDATE accounts_user SET first_name = %s WHERE id = %s", [str(number), pk])


def replica2_is_late() -> bool:
    """Return True if new clients read `replica`, because replica2 is late."""
    snapshot = replication_set("default").snapshot
    late = snapshot.replicas[1].lag_seconds > DELAY_SECONDS / 2
    return late and snapshot.preferred is not None and snapshot.preferred.replica.alias == "replica"


def test_monotonic__two_standbys(watched_two: Servers, row: User) -> None:
    """No client reads an older value than before, while one standby is late and one stops and starts."""
    clients = Clients(f"/api/users/{row.pk}")
    with (
        delayed(watched_two, "replica2", seconds=DELAY_SECONDS),
        recorded() as decisions,
        ThreadPoolExecutor(CLIENTS + 1) as pool,
    ):
        running = [pool.submit(clients.write, watched_two, row.pk)]
        try:
            # Before that replica2 may be preferred, and a client stays on the replica that it read first.
            until(replica2_is_late, "replica is preferred, and replica2 is late")
            running += [pool.submit(clients.read) for _ in range(CLIENTS)]
            time.sleep(SECONDS)
            with watched_two.stopped("replica"):
                time.sleep(SECONDS)
            until(lambda: len(replication_set("default").snapshot.eligible) == 2, "both are back")
            time.sleep(SECONDS)
        finally:
            clients.ended.set()
        for each in running:
            each.result()

    read_from = {each.alias for each in decisions}
    print(f"{clients.reads} reads on {read_from}")
    assert clients.steps_back == []
    assert clients.reads > 100
    assert {"default", "replica", "replica2"} <= read_from


def test_monotonic__moved_and_back(watched_two: Servers, row: User) -> None:
    """When its standby stops, a client reads the owner, until another standby has caught up for it."""
    edge = Edge()

    def read() -> str:
        with recorded() as decisions:
            assert edge.get(f"/api/users/{row.pk}").status_code == 200
        (alias,) = {each.alias for each in decisions}
        return alias

    with watched_two.held_back("replica2"):
        with others():
            User.objects.filter(pk=row.pk).update(first_name="1")
        until(
            lambda: (
                [each.alias for each in replication_set("default").snapshot.eligible if not each.lag_seconds]
                == ["replica"]
            ),
            "it is known",
        )
        first = read()
        with watched_two.stopped("replica"):
            until(
                lambda: [each.alias for each in replication_set("default").snapshot.eligible] == ["replica2"],
                "one is left",
            )
            moved = [read(), read()]
            required = edge.tokens()
    watched_two.caught_up("replica2")
    until(lambda: read() != "default", "a standby is known to have what the client saw")

    assert first == "replica"
    assert moved == ["default", "default"]
    assert required
