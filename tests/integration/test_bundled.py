"""The start scripts of the chart's owners on real servers: changed passwords, and who gets in without one."""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from tests.support.containers import PASSWORDS
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import MYSQL, POSTGRESQL, MySQLdb, Vendor
from tests.support.waiting import until

pytestmark = pytest.mark.docker

CHANGED = "an'other \\p:w"


@dataclass
class Bundled:
    """A server of the chart on a volume, which a new container uses again, as a new pod does."""

    servers: Servers
    vendor: Vendor
    volume: str

    def start(self, **environ: str) -> None:
        start = self.servers.start_mysql if self.vendor is MYSQL else self.servers.start_postgres
        start("bundled", volume=self.volume, **environ)
        until(self.ready, "the server is ready", seconds=120)

    def ready(self) -> bool:
        """Return what the chart's readiness probe finds."""
        script = "mysql-ready.sh" if self.vendor is MYSQL else "postgres-ready.sh"
        code, _ = self.servers.containers["bundled"].exec_run([f"/scripts/{script}"])
        return bool(code == 0)

    def lets_in(self, user: str, password: str) -> bool:
        port = self.servers.by_alias["bundled"].port
        try:
            if self.vendor is MYSQL:
                connection = MySQLdb.connect(host="127.0.0.1", port=port, user=user, password=password)
            else:
                connection = psycopg.connect(
                    host="127.0.0.1", port=port, user=user, password=password, dbname="switchyard"
                )
        except (psycopg.OperationalError, MySQLdb.OperationalError):
            return False
        connection.close()
        return True


@pytest.fixture(scope="module", params=[POSTGRESQL, MYSQL], ids=lambda vendor: vendor.scheme)
def bundled(request: pytest.FixtureRequest) -> Iterator[Bundled]:
    """A server of one vendor after its first start."""
    with network_of_servers(request.param) as servers:
        bundled = Bundled(servers, request.param, f"{servers.network.name}-data")
        bundled.start()
        try:
            yield bundled
        finally:
            servers.remove("bundled")
            assert servers.network.client is not None
            servers.network.client.volumes.get(bundled.volume).remove()


@pytest.mark.parametrize("user", ["app", "migrator", "readonly", "monitor"])
def test_start__with_a_changed_password(bundled: Bundled, user: str) -> None:
    """A restart with another password in the Secret changes the user's password, and no other user's."""
    bundled.start(**{f"{user.upper()}_PASSWORD": CHANGED})

    assert bundled.lets_in(user, CHANGED)
    assert not bundled.lets_in(user, PASSWORDS[user])
    for other in {"app", "migrator", "readonly", "monitor"} - {user}:
        assert bundled.lets_in(other, PASSWORDS[other])


def test_start__with_a_changed_password_of_the_administrator(bundled: Bundled) -> None:
    """The administrator's password changes, too; nothing but the new Secret knows it."""
    variable = "MYSQL_ROOT_PASSWORD" if bundled.vendor is MYSQL else "POSTGRES_PASSWORD"
    bundled.start(**{variable: CHANGED})

    client = (
        ["sh", "-c", 'MYSQL_PWD="$0" mysql --no-defaults --user=root --execute="SELECT 1"', CHANGED]
        if bundled.vendor is MYSQL
        else ["sh", "-c", 'PGPASSWORD="$0" psql --host=127.0.0.1 --username=postgres --command="SELECT 1"', CHANGED]
    )
    assert bundled.servers.containers["bundled"].exec_run(client)[0] == 0


def test_start__after_a_kill(bundled: Bundled) -> None:
    """A server that was killed recovers, with its rows and its users."""
    bundled.start()
    with bundled.servers.killed("bundled"):
        pass
    until(bundled.ready, "the server is ready again")

    assert bundled.lets_in("app", PASSWORDS["app"])


def test_stop__during_a_start(bundled: Bundled) -> None:
    """A stop while the server makes its roles ends the container at once, and the next start is whole."""
    container = bundled.servers.containers["bundled"]
    container.stop(timeout=20)
    container.start()
    container.stop(timeout=20)
    container.start()
    until(bundled.ready, "the server is ready again")

    assert bundled.lets_in("app", PASSWORDS["app"])


def test_loopback__without_a_password(bundled: Bundled) -> None:
    """The pod's own loopback, which a port-forward reaches, opens nothing without a password."""
    bundled.start()
    client: list[str] = (
        ["mysql", "--no-defaults", "--host=127.0.0.1", "--user=root", "--execute=SELECT 1"]
        if bundled.vendor is MYSQL
        else ["psql", "--no-psqlrc", "--no-password", "--host=127.0.0.1", "--username=postgres", "--command=SELECT 1"]
    )

    assert bundled.servers.containers["bundled"].exec_run(client)[0] != 0


def test_replicator__with_a_changed_password(bundled: Bundled) -> None:
    """A replica's user for replication gets in with the new password of the Secret."""
    bundled.start(REPLICATOR_PASSWORD=CHANGED)

    if bundled.vendor is MYSQL:
        assert bundled.lets_in("replicator", CHANGED)
        assert not bundled.lets_in("replicator", PASSWORDS["replicator"])
        return
    port = bundled.servers.by_alias["bundled"].port
    address = f"host=127.0.0.1 port={port} user=replicator replication=true"
    psycopg.connect(address, password=CHANGED).close()

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(address, password=PASSWORDS["replicator"])
