"""No read fails because a replica fails: threads read while a real standby is stopped, killed, hung or in conflict."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError, connections, transaction
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker
from tests.support import faults
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import declared, monitored

from accounts.models import User
from legacy.models import Customer
from switchyard.routing import allow_writes
from switchyard.routing.errors import OwnerUnavailableError, ReplicaWriteError
from switchyard.routing.topology.replication import replication_set

pytestmark = pytest.mark.docker


def raw() -> str:
    with connections["replica"].cursor() as cursor:
        cursor.execute("SELECT username FROM accounts_user")
        (name,) = cursor.fetchone()
        return str(name)


READS: dict[str, Callable[[], str]] = {
    "get": lambda: User.objects.get().username,
    "values": lambda: User.objects.values("username")[0]["username"],
    "using": lambda: User.objects.using("replica").get().username,
    "raw": raw,
}


class Readers:
    """Threads that read in a loop, one for each kind of read, with their results and errors."""

    def __init__(self, reads: dict[str, Callable[[], str]]) -> None:
        self.errors: list[str] = []
        self.slowest = 0.0
        self.count = 0
        self._ended = threading.Event()
        self._reads = reads

    def read(self, name: str) -> None:
        while not self._ended.is_set():
            begun = time.monotonic()
            try:
                assert self._reads[name]() == "ann"
            except Exception as error:  # noqa: BLE001 - each error fails the test
                self.errors.append(f"{name}: {error!r}")
            self.count += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
            for connection in connections.all(initialized_only=True):
                connection.close_if_unusable_or_obsolete()  # like the end of a request
        connections.close_all()

    @contextmanager
    def reading(self) -> Iterator[None]:
        with ThreadPoolExecutor(2 * len(self._reads)) as pool:
            running = [pool.submit(self.read, name) for name in self._reads for _ in range(2)]
            try:
                before = self.count
                until(lambda: self.count > before + 20, "all read")
                yield
                before = self.count
                until(lambda: self.count > before + 20, "all read")
            finally:
                self._ended.set()
            for each in running:
                each.result()


@pytest.fixture
def watched(real_databases: Servers) -> Iterator[Servers]:
    """The servers with one row, and a running monitor."""
    User.objects.using("default").create(username="ann")
    real_databases.caught_up()
    with monitored():
        yield real_databases


@pytest.fixture
def of_mysql(mysql_pair: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """MySQL with a replica and one row, and a running monitor."""
    mysql_pair.clean()
    with django_db_blocker.unblock(), declared(mysql_pair, tmp_path):
        with allow_writes("legacy", reason="a test"):
            Customer.objects.create(name="ann", email="ann@example.org", created_at="2026-01-01T00:00Z")
        mysql_pair.caught_up("legacyreplica")
        with monitored():
            yield mysql_pair


@pytest.fixture
def with_two(two_standbys: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """PostgreSQL with two standbys and one row, and a running monitor."""
    two_standbys.clean()
    with django_db_blocker.unblock(), declared(two_standbys, tmp_path):
        User.objects.using("default").create(username="ann")
        for alias in ("replica", "replica2"):
            two_standbys.caught_up(alias)
        with monitored():
            yield two_standbys


@pytest.fixture(params=["threads", "pool"])
def databases(request: pytest.FixtureRequest, watched: Servers) -> Iterator[Servers]:
    """The same servers, with a connection for each thread, and with a pool for the replica."""
    if request.param == "pool":
        entry = connections.settings["replica"]
        entry["CONN_MAX_AGE"] = 0
        entry["OPTIONS"]["pool"] = {"min_size": 2, "max_size": 16, "timeout": 1, "reconnect_timeout": 1}
        del connections["replica"]
    yield watched
    if request.param == "pool":
        connections["replica"].close_pool()


def unfit(owner: str = "default") -> Callable[[], bool]:
    return lambda: not replication_set(owner).snapshot.eligible


def fit(owner: str = "default") -> Callable[[], bool]:
    return lambda: bool(replication_set(owner).snapshot.eligible)


FAULTS = ["stopped", "killed", "paused"]


@pytest.mark.parametrize("fault", FAULTS)
def test_failover__replica_away(fault: str, databases: Servers) -> None:
    """Every read succeeds while the standby stops, is down and returns; afterwards the standby is read again."""
    readers = Readers(READS)

    with readers.reading():
        with getattr(databases, fault)("replica"):
            until(unfit(), "the circuit is open")
            time.sleep(2)
        until(fit(), "the circuit is closed")

    print(f"{fault}: {readers.count} reads, slowest {readers.slowest:.2f} s")
    assert readers.errors == []
    assert readers.slowest < 4


def of_legacy() -> str:
    with connections["legacyreplica"].cursor() as cursor:
        cursor.execute("SELECT name FROM customers")
        (name,) = cursor.fetchone()
        return str(name)


@pytest.mark.parametrize("fault", FAULTS)
def test_failover__mysql_replica_away(fault: str, of_mysql: Servers) -> None:
    """Every read succeeds with a MySQL replica too."""
    readers = Readers(
        {
            "get": lambda: Customer.objects.get().name,
            "using": lambda: Customer.objects.using("legacyreplica").get().name,
            "iterator": lambda: "".join(customer.name for customer in Customer.objects.iterator()),
            "raw": of_legacy,
        }
    )

    with readers.reading():
        with getattr(of_mysql, fault)("legacyreplica"):
            until(unfit("legacy"), "the circuit is open")
            time.sleep(2)
        until(fit("legacy"), "the circuit is closed")

    print(f"mysql {fault}: {readers.count} reads, slowest {readers.slowest:.2f} s")
    assert readers.errors == []
    assert readers.slowest < 4


def test_failover__several_away(with_two: Servers) -> None:
    """With one standby down the other standby is read; with both down the owner is read, also over old connections."""
    readers = Readers({**READS, "other": lambda: User.objects.using("replica2").get().username})

    with readers.reading():
        with with_two.killed("replica"):
            until(
                lambda: [each.alias for each in replication_set("default").snapshot.eligible] == ["replica2"],
                "one is left",
            )
            with with_two.paused("replica2"):
                until(unfit(), "none is left")
                time.sleep(1)
        until(lambda: len(replication_set("default").snapshot.eligible) == 2, "both are back")

    print(f"several: {readers.count} reads, slowest {readers.slowest:.2f} s")
    assert readers.errors == []
    assert readers.slowest < 4


def test_failover__recovery_conflict(watched: Servers, caplog: pytest.LogCaptureFixture) -> None:
    """Replay cancels reads on the standby, and other servers answer them."""
    slow = "SELECT username, pg_sleep(0.05) FROM accounts_user"

    def read() -> str:
        with connections["replica"].cursor() as cursor:
            cursor.execute(slow)
            (name, _) = cursor.fetchone()
            return str(name)

    readers = Readers({"slow": read})
    with faults.recovery_conflict(watched) as cancel_readers, readers.reading():
        for _ in range(10):
            cancel_readers("accounts_user")

    print(f"conflict: {readers.count} reads, slowest {readers.slowest:.2f} s")
    assert readers.errors == []
    assert "Replica 'replica' is unfit (conflict)" in caplog.text


def test_failover__server_side_cursor_not_yet_open(watched: Servers) -> None:
    """An `iterator()` that begins on a hung replica returns the rows of the owner."""
    User.objects.using("replica").get()

    with watched.paused("replica"):
        names = [user.username for user in User.objects.using("replica").iterator()]

    assert names == ["ann"]


def test_failover__server_side_cursor_that_has_given_rows(watched: Servers) -> None:
    """An iterator that has returned rows cannot move to another server, and raises an error."""
    User.objects.using("default").create(username="bob")
    watched.caught_up()
    rows = User.objects.using("replica").iterator(chunk_size=1)
    next(rows)

    with watched.stopped("replica"), pytest.raises(OperationalError):
        list(rows)


def test_failover__transaction_on_a_replica(watched: Servers) -> None:
    """A transaction on a replica does not move to another server, at its beginning or later."""
    with watched.stopped("replica"), pytest.raises(OperationalError), transaction.atomic("replica"):
        User.objects.using("replica").get()


def test_failover__cursor_that_has_moved(watched: Servers) -> None:
    """A cursor that moved to the owner still refuses the statements that it refuses on the replica."""
    with watched.stopped("replica"), connections["replica"].cursor() as cursor:
        cursor.execute("SELECT username FROM accounts_user")
        assert cursor.fetchall() == [("ann",)]
        with pytest.raises(ReplicaWriteError):
            cursor.execute("DELETE FROM accounts_user")
        with pytest.raises(AttributeError, match="'replica' is unavailable"):
            cursor.copy("COPY accounts_user FROM STDIN")

    assert User.objects.using("default").count() == 1


@pytest.mark.parametrize("opened", [False, True])
def test_failover__logged_queries(opened: bool, watched: Servers) -> None:
    """A query that moves is logged like any other query, with an open cursor or without."""
    replica = connections["replica"]
    replica.force_debug_cursor = True
    cursor = replica.cursor() if opened else None

    with watched.stopped("replica"), cursor or replica.cursor() as used:
        used.execute("SELECT username FROM accounts_user WHERE username = %s", ["ann"])
        assert used.fetchone() == ("ann",)

    assert connections["default"].queries_log[-1]["sql"].endswith("WHERE username = 'ann'")


@pytest.mark.parametrize("fault", ["stopped", "paused"])
def test_failover__owner_away(fault: str, watched: Servers, client: Client) -> None:
    """Writes are refused at once, over HTTP with 503; reads of the replica succeed."""
    headers = {"Authorization": f"Bearer {settings.API_TOKEN}"}
    assert client.get("/api/users", headers=headers).status_code == 200

    with getattr(watched, fault)("default"):
        until(lambda: replication_set("default").snapshot.unavailable_reason == "down", "the owner is known to be down")
        begun = time.monotonic()
        written = client.post("/api/users", {"username": "bob"}, content_type="application/json", headers=headers)
        read = client.get("/api/users", headers=headers)
        with pytest.raises(OwnerUnavailableError), transaction.atomic("default"):
            User.objects.create(username="bob")
        took = time.monotonic() - begun

    assert (written.status_code, written.headers["Retry-After"]) == (503, "1")
    assert read.status_code == 200
    assert took < 2
    until(lambda: not replication_set("default").snapshot.unavailable_reason, "the owner is back")
    connections["default"].close_if_unusable_or_obsolete()  # as at the begin of a request
    assert (
        client.post("/api/users", {"username": "bob"}, content_type="application/json", headers=headers).status_code
        == 201
    )
