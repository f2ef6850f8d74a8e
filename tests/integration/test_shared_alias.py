"""Several servers behind one alias, as behind a load balancer: no client goes back in time, and both are read."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from django.db import connections, router
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.faults import delayed, rebuilt_later
from tests.support.servers import Servers
from tests.support.switchboard import Switchboard, switchboard
from tests.support.vendors import POSTGRESQL
from tests.support.waiting import until

from accounts.models import User
from config.databases import topology
from switchyard.routing import read_only
from switchyard.routing.monitor import monitor
from switchyard.routing.session.consistency import unix_time
from switchyard.routing.session.context import activate, request_context, task_context
from switchyard.routing.session.token import TokenEntry, decode, encode
from switchyard.routing.session.transfer import accept_tokens, issue_token
from switchyard.routing.topology.replication import replication_set, shared_aliases

pytestmark = pytest.mark.docker

CHAINS = 500
THREADS = 5
BOTH = ("replica", "replica2")
READ = f"""
SELECT (SELECT last_name::int FROM {User._meta.db_table} WHERE username = 'clock'),
       EXISTS (SELECT 1 FROM {User._meta.db_table} WHERE username = %s),
       pg_is_in_recovery(), inet_server_addr()::text
"""


class Seen(NamedTuple):
    """The value that a read returned, and the server that answered."""

    clock: int
    exists: bool
    standby: bool
    server: str


class Client:
    """A client whose requests run in any thread."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.token = ""

    def read(self) -> Seen:
        consistency, _ = accept_tokens((self.token,))
        with activate(request_context(consistency=consistency)):
            with connections[router.db_for_read(User)].cursor() as cursor:
                cursor.execute(READ, [self.name])
                seen = Seen(*cursor.fetchone())
            self.token = issue_token(consistency)
        return seen

    def write(self) -> None:
        consistency, _ = accept_tokens((self.token,))
        with activate(request_context(unsafe_method=True, consistency=consistency)):
            User.objects.create(username=self.name)
            self.token = issue_token(consistency)


class Worker:
    """Threads of a process, each with connections of its own that stay open."""

    def __init__(self) -> None:
        self.threads = [ThreadPoolExecutor(1) for _ in range(THREADS)]

    def read(self, client: Client) -> Seen:
        return random.choice(self.threads).submit(client.read).result(30)

    def write(self, client: Client) -> None:
        random.choice(self.threads).submit(client.write).result(30)

    def close(self) -> None:
        for thread in self.threads:
            thread.submit(connections.close_all).result(30)
            thread.shutdown()


@contextmanager
def ticking(servers: Servers) -> Iterator[None]:
    """Increase a counter in a row of the owner, again and again, in this block."""
    ended = Event()
    tick = f"UPDATE {User._meta.db_table} SET last_name = (last_name::int + 1)::text WHERE username = 'clock'"

    def go() -> None:
        with closing(servers.admin("default")) as connection:
            while not ended.wait(0.01):
                connection.execute(tick)

    thread = Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def board(two_standbys: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Switchboard]:
    """An address that leads to one standby, behind the alias `replica`, the only replica."""
    two_standbys.clean()
    with django_db_blocker.unblock(), switchboard(two_standbys, "replica") as board:
        environ = {key: value for key, value in two_standbys.environ().items() if "REPLICA2" not in key}
        given = topology({**environ, **board.environ()}, data_dir=tmp_path)
        chosen = {**settings.SWITCHYARD, "OWNERS": given.switchyard["OWNERS"], "REPLICAS": given.switchyard["REPLICAS"]}
        with connected(given.databases), override_settings(SWITCHYARD=chosen), activate(task_context()):
            User.objects.create(username="clock", last_name="0")
            for alias in BOTH:
                two_standbys.caught_up(alias)
            yield board


@contextmanager
def working(board: Switchboard) -> Iterator[Worker]:
    """Yield threads that read through the board, once the monitor knows both standbys behind it."""
    made = Worker()
    with board.leading_to(*BOTH):
        monitor.start()
        try:
            until(lambda: len(known()) == len(BOTH) and "replica" in shared_aliases, "both servers are known")
            yield made
        finally:
            made.close()
            monitor.stop()
            connections.close_all()


@pytest.fixture
def worker(board: Switchboard) -> Iterator[Worker]:
    """Threads whose connections lead to both standbys."""
    with working(board) as made:
        yield made


def carried_position(client: Client) -> Any:
    """Return the position in the client's token."""
    return decode(client.token)[0].position


def is_there(position: Any) -> bool:
    """Return True if a standby is known to have the position."""
    return any(each.caught_up_to(position) for each in replication_set("default").snapshot.by_server.values())


def known() -> list[str]:
    """Return the standbys that have a probe and are fit."""
    return [server for server, replica in replication_set("default").snapshot.by_server.items() if replica.fit]


def test_shared_alias__chains(worker: Worker, board: Switchboard) -> None:
    """No client misses its own write or goes back in time, though one standby always lags."""
    missed, back, on_standby = [], [], 0
    with delayed(board.servers, "replica2", seconds=0.3), ticking(board.servers):
        for number in range(CHAINS):
            client, clock = Client(f"chain {number}"), 0
            for step in range(5):
                if step == 2:
                    worker.write(client)
                seen = worker.read(client)
                if step >= 2 and not seen.exists:
                    missed.append((number, step, seen))
                if seen.clock < clock:
                    back.append((number, step, clock, seen))
                clock = seen.clock
                on_standby += seen.standby

    assert (missed, back) == ([], [])
    assert on_standby > CHAINS  # of five reads, the first has no required position


def test_shared_alias__new_clients(worker: Worker) -> None:
    """All reads of new clients go to a standby, and both standbys are read."""
    seen = [worker.read(Client()) for _ in range(100)]

    assert all(each.standby for each in seen)
    assert len({each.server for each in seen}) == len(BOTH)


def test_shared_alias__pool(board: Switchboard) -> None:
    """The pool identifies the server of each new connection, so every thread knows the server of its connection."""
    pool = {"min_size": THREADS, "max_size": THREADS}
    connections.settings["replica"] |= {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": pool}}
    with working(board) as worker:
        seen = [worker.read(Client()) for _ in range(50)]
        connections["replica"].close_pool()  # type: ignore[attr-defined]  # PostgreSQL's

    assert all(each.standby for each in seen)
    assert len({each.server for each in seen}) == len(BOTH)


def test_shared_alias__read_only_transaction(worker: Worker, board: Switchboard) -> None:
    """A read-only transaction begins on a server with all writes of the client, because it does not move."""

    def read(client: Client) -> tuple[bool, bool]:
        consistency, _ = accept_tokens((client.token,))
        with (
            activate(request_context(consistency=consistency)),
            read_only() as alias,
            connections[alias].cursor() as cursor,
        ):
            cursor.execute(READ, [client.name])
            seen = Seen(*cursor.fetchone())
        return seen.exists, seen.standby

    found = []
    with board.servers.held_back("replica2"):
        for number in range(20):
            client = Client(f"reader {number}")
            worker.write(client)
            board.servers.caught_up("replica")
            until(partial(is_there, carried_position(client)), "the monitor knows it")
            found.append(random.choice(worker.threads).submit(read, client).result(30))

    assert all(exists for exists, _ in found)
    assert {standby for _, standby in found} == {True, False}


def test_shared_alias__a_server_in_place_of_another(board: Switchboard) -> None:
    """A server that lags behind its predecessor is not read before it has the predecessor's rows, by any client."""
    worker = Worker()
    monitor.start()
    try:
        until(lambda: len(known()) == 1, "the standby is known")
        before = worker.read(Client())
        with board.servers.held_back("replica2"):
            board.servers.ask("default", f"UPDATE {User._meta.db_table} SET last_name = '7' WHERE username = 'clock'")
            board.servers.caught_up("replica")
            shown = [worker.read(Client()) for _ in range(20)]
            with board.leading_to("replica2"):
                board.drop()
                after = [worker.read(Client()) for _ in range(200)]
        with board.leading_to("replica2"):
            until(lambda: worker.read(Client()).standby, "the other standby is read")
            there = worker.read(Client())
    finally:
        worker.close()
        monitor.stop()
        connections.close_all()

    assert before.standby
    assert {(each.clock, each.standby) for each in shown} == {(7, True)}
    assert {each.clock for each in after} == {7}
    assert there.clock == 7
    assert there.server != before.server


@pytest.mark.parametrize("promoted", BOTH)
@pytest.mark.parametrize("stays", [True, False], ids=["behind the alias", "gone"])
def test_shared_alias__switchover(worker: Worker, board: Switchboard, promoted: str, *, stays: bool) -> None:
    """Each read is answered while the owner is away and one standby is promoted; its own write is there.

    The promoted standby stays behind the alias, or only the other one stays, which follows nobody yet.
    """
    servers = board.servers
    clients = [Client(f"client {number}") for number in range(20)]
    for client in clients[::2]:
        worker.write(client)
    for alias in BOTH:
        servers.caught_up(alias)
    before = [worker.read(client) for client in clients]
    seen: list[tuple[int, Seen]] = []

    def read_all(seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            seen.extend((number, worker.read(client)) for number, client in enumerate(clients))

    with rebuilt_later(servers, promoted), servers.stopped("default"):
        read_all(1.0)
        servers.ask(promoted, *POSTGRESQL.promote)
        with nullcontext() if stays else board.leading_to(*(alias for alias in BOTH if alias != promoted)):
            read_all(3.0)

    assert len({each.server for each in before if each.standby}) == len(BOTH)  # so each standby is some client's last
    assert len(seen) > 100
    assert [number for number, each in seen if number % 2 == 0 and not each.exists] == []


@pytest.mark.parametrize("promoted", BOTH)
def test_shared_alias__switchover_after_a_write_of_an_unknown_position(
    worker: Worker, board: Switchboard, promoted: str
) -> None:
    """The other standby serves the client: it has all that the owner had written when it shut down."""
    servers, client = board.servers, Client("unknown")
    worker.write(client)
    for alias in BOTH:
        servers.caught_up(alias)
    # As if the write was a second ago: operators promote later than this test does.
    client.token = encode([TokenEntry("default", written_before=unix_time() - 1)])
    with rebuilt_later(servers, promoted), servers.stopped("default"):
        servers.ask(promoted, *POSTGRESQL.promote)
        seen = worker.read(client)

    assert (seen.exists, seen.standby) == (True, True)
