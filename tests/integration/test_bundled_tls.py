"""The bundled servers of a rendered release: clients and the standby verify the server, which refuses plain text."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from django.db.utils import ConnectionHandler, OperationalError
from pytest_django.plugin import DjangoDbBlocker
from tests.support.rendered import RenderedServers, rendered_servers
from tests.support.waiting import until

from switchyard.environment import from_environment

pytestmark = pytest.mark.docker

VALUES = {"databases": {"analytics": {"enabled": False}, "copy": {"replicaOf": "legacy"}}}
ALIASES = ("default", "replica", "legacy", "copy")
VERSION = {
    "postgresql": "SELECT version FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()",
    "mysql": "SELECT variable_value FROM performance_schema.session_status WHERE variable_name = 'Ssl_version'",
}


@pytest.fixture(scope="module")
def servers() -> Iterator[RenderedServers]:
    """The two owners and a replica of each, ready by the probes of the chart."""
    with rendered_servers(VALUES) as started:
        for alias in ALIASES:
            started.start(alias)
        for alias in ALIASES:
            for kind in ("startupProbe", "readinessProbe"):
                until(partial(started.probe, alias, kind), f"{kind} of '{alias}' succeeds", seconds=120)
        yield started


def query(servers: RenderedServers, alias: str, sql: str) -> str:
    """Return the answer of a PostgreSQL server to a query on its socket."""
    _, output = servers.run(alias, "psql", "--username=postgres", "--dbname=switchyard", "-At", "--command", sql)
    return output.strip()


def status(servers: RenderedServers, sql: str) -> str:
    """Return the answer of the MySQL replica to a query on its performance schema."""
    command = ("mysql", "--defaults-file=/tmp/status.cnf", "--batch", "--skip-column-names", "performance_schema")
    return servers.run("copy", *command, f"--execute={sql}")[1]


@dataclass
class Client:
    """The service's connection to one alias: the URL and the files that the chart gives the service."""

    url: str
    password: Path
    authority: Path
    blocker: DjangoDbBlocker

    def version_of_tls(self) -> str:
        """Return the version of TLS of a new connection through Django."""
        environ = {"DATABASE_DEFAULT_URL": self.url, "DATABASE_DEFAULT_PASSWORD_FILE": str(self.password)}
        databases, _ = from_environment(owners={}, data_dir=Path(), environ=environ)
        # Connections of their own: the router would read another server in place of a replica that it cannot reach.
        connection = ConnectionHandler(databases)["default"]
        with self.blocker.unblock(), closing(connection), connection.cursor() as cursor:
            cursor.execute(VERSION[connection.vendor])
            return str(cursor.fetchone()[0])


@pytest.fixture(params=ALIASES)
def client(
    request: pytest.FixtureRequest, servers: RenderedServers, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> Client:
    """The client of one alias."""
    alias: str = request.param
    environ = servers.environ(tmp_path)
    return Client(
        environ[f"DATABASE_{alias.upper()}_URL"],
        tmp_path / "databases" / alias,
        tmp_path / "ca" / f"{alias}.crt",
        django_db_blocker,
    )


def test_service__with_the_variables_of_the_chart(client: Client) -> None:
    """The service connects with TLS and verifies the server."""
    assert client.url.partition("?")[2].split("&") in (
        ["sslmode=verify-full", f"sslrootcert={client.authority}"],
        ["ssl_mode=VERIFY_IDENTITY", f"ssl_ca={client.authority}"],
    )
    assert client.version_of_tls() == "TLSv1.3"


def test_service__with_a_wrong_authority(client: Client) -> None:
    """A server whose certificate another authority has signed is refused."""
    (*_, other) = [path for path in client.authority.parent.iterdir() if path != client.authority]
    client.authority.write_bytes(other.read_bytes())

    with pytest.raises(OperationalError, match=r"certificate verify failed|unable to get local issuer certificate"):
        client.version_of_tls()


def test_service__with_a_wrong_host_name(client: Client) -> None:
    """A server under a name that its certificate lacks is refused."""
    client.url = client.url.replace("@127.0.0.1:", "@127.0.0.2:")

    with pytest.raises(OperationalError, match=r"does not match host name|Validation of SSL server certificate failed"):
        client.version_of_tls()


def test_service__in_plain_text(client: Client) -> None:
    """The server refuses a client without TLS that knows the password."""
    address, _, query = client.url.partition("?")
    client.url = f"{address}?{query.partition('=')[0]}=disable".replace("ssl_mode=disable", "ssl_mode=DISABLED")

    with pytest.raises(OperationalError, match=r"no encryption|insecure transport"):
        client.version_of_tls()


def test_standby__of_a_primary(servers: RenderedServers) -> None:
    """The standby streams over TLS, and has verified the primary by the name of its Service."""
    assert query(servers, "default", "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)") == "t"
    (connection,) = query(servers, "replica", "SHOW primary_conninfo").splitlines()
    assert "host=sy-switchyard-db-default " in connection
    assert "sslmode=verify-full sslrootcert=/tls/primary.crt" in connection


def test_mysql_replica__of_a_source(servers: RenderedServers) -> None:
    """The replica follows over TLS, and verifies the source by the name of its Service."""
    configured = "SELECT host, ssl_allowed, ssl_verify_server_certificate, ssl_ca_file, service_state FROM"
    tables = "replication_connection_configuration JOIN replication_connection_status USING (channel_name)"

    assert status(servers, f"{configured} {tables}").split() == [
        "sy-switchyard-db-legacy",
        "YES",
        "YES",
        "/tls/primary.crt",
        "ON",
    ]


@contextmanager
def wrong_authority(servers: RenderedServers, replica: str, *, owner: str) -> Iterator[None]:
    """Give the replica another authority than its owner's in this block; afterwards the replica follows again."""
    secrets = {each["metadata"]["name"]: each for each in servers.objects if each["kind"] == "Secret"}
    data = secrets[f"sy-switchyard-db-{owner}-tls"]["data"]
    right = data["ca.crt"]
    data["ca.crt"] = secrets[f"sy-switchyard-db-{replica}-tls"]["data"]["ca.crt"]
    try:
        servers.start(replica)
        yield
    finally:
        data["ca.crt"] = right
        servers.start(replica)
        until(lambda: servers.probe(replica, "readinessProbe"), f"'{replica}' follows again", seconds=120)


def test_standby__with_a_wrong_authority(servers: RenderedServers) -> None:
    """A standby that cannot verify its primary streams nothing from it, and serves the rows that it has."""
    with wrong_authority(servers, "replica", owner="default"):
        until(lambda: "certificate verify failed" in servers.said("replica"), "the standby refuses the primary")
        until(lambda: query(servers, "replica", "SELECT pg_is_in_recovery()") == "t", "the standby serves")
        assert query(servers, "replica", "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == "0"
        assert not servers.probe("replica", "readinessProbe")


def test_mysql_replica__with_a_wrong_authority(servers: RenderedServers) -> None:
    """A replica that cannot verify its source follows nothing, and serves the rows that it has."""
    with wrong_authority(servers, "copy", owner="legacy"):
        until(lambda: servers.probe("copy", "startupProbe"), "the replica serves", seconds=120)
        refused = "SELECT last_error_message FROM replication_connection_status"
        until(lambda: "certificate verify failed" in status(servers, refused), "the replica refuses the source")
        assert not servers.probe("copy", "readinessProbe")
