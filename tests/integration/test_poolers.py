"""PgBouncer in transaction mode in front of an owner and of its replica."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import connections, transaction
from pytest_django.plugin import DjangoDbBlocker
from tests.integration.conftest import manage
from tests.support.decided import recorded
from tests.support.poolers import Pooler, pooler
from tests.support.servers import Servers
from tests.support.service import free_port
from tests.support.waiting import until
from tests.support.watching import declared, monitored, others

from accounts.models import User
from switchyard.routing import read_only
from switchyard.routing.errors import OwnerUnavailableError, ReplicaWriteError
from switchyard.routing.session.context import activate, task_context
from switchyard.routing.topology.replication import replication_set

pytestmark = pytest.mark.docker


@dataclass(frozen=True)
class Pooled:
    """The poolers of `default` and `replica`, and the servers behind them."""

    servers: Servers
    owner: Pooler
    replica: Pooler

    def environ(self, user: str = "app") -> dict[str, str]:
        """Return the variables that name the poolers."""
        return {"DATABASE_DEFAULT_URL": self.owner.url(user), "DATABASE_REPLICA_URL": self.replica.url(user)}


@pytest.fixture(scope="module")
def poolers(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pooled]:
    """Two poolers. The test is skipped without an image of PgBouncer."""
    with ExitStack() as stack:
        owner, replica = (
            stack.enter_context(pooler(servers, alias, tmp_path_factory.mktemp(alias), port=free_port()))
            for alias in ("default", "replica")
        )
        yield Pooled(servers, owner, replica)


@pytest.fixture
def pooled(poolers: Pooled, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Pooled]:
    """The aliases of this process through the poolers, empty and monitored."""
    poolers.servers.clean()
    poolers.servers.caught_up()
    with (
        django_db_blocker.unblock(),
        declared(poolers.servers, tmp_path, poolers.environ()),
        monitored(),
        activate(task_context()),
    ):
        yield poolers


def shown(alias: str, setting: str) -> str:
    """Return the value of a setting of the server's session."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SHOW {setting}")
        return str(cursor.fetchone()[0])


def read_by() -> str:
    """Return the alias of another client's next read."""
    with others(), recorded() as decisions:
        User.objects.exists()
    return decisions[-1].alias


def test_case_27__own_writes(pooled: Pooled) -> None:
    """A client reads each of its writes while the replica behind its pooler is held back; others read the replica."""
    missed = 0
    with pooled.servers.held_back():
        for number in range(100):
            user = User.objects.create(username=str(number))
            missed += not User.objects.filter(pk=user.pk).exists()
        assert read_by() == "replica"
        with others():
            assert not User.objects.exists()

    assert missed == 0


def test_case_27__transactions_and_locks(pooled: Pooled) -> None:
    """Transactions, savepoints, locks, COPY and `iterator()` work through a pooler."""
    with transaction.atomic():
        User.objects.bulk_create(User(username=str(number)) for number in range(10))
        with transaction.atomic():
            assert User.objects.select_for_update().count() == 10
        names = {user.username for user in User.objects.iterator(chunk_size=3)}

    with connections["default"].cursor() as cursor, cursor.copy("COPY accounts_user TO STDOUT") as rows:
        assert len(list(rows)) == 10
    assert names == {str(number) for number in range(10)}


def test_case_27__read_only(pooled: Pooled) -> None:
    """`read_only()` holds on the pooler of the replica, and a write there is refused."""
    with read_only(), recorded() as decisions:
        User.objects.exists()
    with pytest.raises(ReplicaWriteError):
        User.objects.using("replica").create(username="ada")

    assert decisions[-1].alias == "replica"


@pytest.mark.parametrize("alias", ["default", "replica"])
def test_case_27__limits(pooled: Pooled, alias: str) -> None:
    """The limits are the role's own, which the roles script sets as the service sets them without a pooler."""
    direct = dict(
        option.split("=")
        for option in connections.settings[alias]["DIRECT"]["OPTIONS"]["options"].removeprefix("-c ").split(" -c ")
    )
    limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    seconds = {"30s": "30s", "10s": "10s", "60s": "1min"}

    assert {name: shown(alias, name) for name in limits} == {name: seconds[direct[name]] for name in limits}


def test_check__role_without_limits(pooled: Pooled) -> None:
    """The check names each limit that the role of the service does not have."""
    before = [found.id for found in run_checks(tags=["database"], databases=["default"])]
    pooled.servers.ask("default", "ALTER ROLE app SET statement_timeout = 0")
    try:
        pooled.owner.reconnect()
        (found,) = run_checks(tags=["database"], databases=["default"])
    finally:
        pooled.servers.ask("default", "ALTER ROLE app SET statement_timeout = '30s'")
        pooled.owner.reconnect()

    assert before == []
    assert found.id == "switchyard.W010"
    assert "statement_timeout" in found.msg
    assert "lock_timeout" not in found.msg


def test_migrate__past_the_pooler(poolers: Pooled) -> None:
    """`migrate_all` and `wait_migrated` use the server itself: they work while the pooler is away."""
    with poolers.owner.stopped():
        migrated = manage("migrate_all", **{**poolers.servers.environ("migrator"), **poolers.environ("migrator")})
        waited = manage("wait_migrated", **{**poolers.servers.environ(), **poolers.environ()})

    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    assert waited.stdout == "Every database is migrated.\n"


@pytest.mark.parametrize("fault", ["stopped", "paused"])
def test_case_27__a_replica_whose_pooler_is_away(pooled: Pooled, fault: str) -> None:
    """No read fails while the pooler of the replica is away, and the replica is read again afterwards."""
    User.objects.create(username="ada")
    pooled.servers.caught_up()
    until(lambda: read_by() == "replica", "the replica is read")
    with getattr(pooled.replica, fault)():
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            with others():
                assert User.objects.get().username == "ada"
        assert read_by() == "default"

    until(lambda: read_by() == "replica", "the replica is read again")


@pytest.mark.parametrize("fault", ["stopped", "paused"])
def test_case_27__an_owner_whose_pooler_is_away(pooled: Pooled, fault: str) -> None:
    """Writes are refused at once while the pooler of the owner is away, reads continue, and writes return."""
    group = replication_set("default")
    with getattr(pooled.owner, fault)():
        until(lambda: group.snapshot.unavailable_reason == "down", "the owner is known to be down")
        began_at = time.monotonic()
        with pytest.raises(OwnerUnavailableError):
            User.objects.create(username="ada")
        with others():
            assert not User.objects.exists()
        assert time.monotonic() - began_at < 2

    until(lambda: not group.snapshot.unavailable_reason, "the owner may be written")
    User.objects.create(username="ada")
