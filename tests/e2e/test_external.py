"""Mode `external`: a release on servers outside the cluster, which a stranger made. The order of the tests matters.

The servers are a PostgreSQL and a MySQL. Their users and Secrets have other names than the chart's own, and their
certificates come from an authority of their own.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cluster import Cluster
from tests.e2e.outside import OutsideServer, outside_server
from tests.e2e.second import SecondRelease
from tests.support.authority import Authority
from tests.support.poolers import IMAGE as POOLER_IMAGE
from tests.support.waiting import until

pytestmark = pytest.mark.cluster

WEB, DDL = "web's p:w", "ddl's p@ss"
POSTGRES_USERS = """
CREATE ROLE ddl LOGIN PASSWORD 'ddl''s p@ss';
CREATE ROLE web LOGIN PASSWORD 'web''s p:w';
ALTER SCHEMA public OWNER TO ddl;
ALTER DEFAULT PRIVILEGES FOR ROLE ddl GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO web;
ALTER DEFAULT PRIVILEGES FOR ROLE ddl GRANT USAGE, SELECT ON SEQUENCES TO web;
"""
MYSQL_USERS = """
CREATE USER ddl@'%' IDENTIFIED BY 'ddl''s p@ss';
CREATE USER web@'%' IDENTIFIED BY 'web''s p:w';
GRANT ALL ON older.* TO ddl@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON older.* TO web@'%';
"""
POOLER = """
[databases]
shop = host={address} port=5432

[pgbouncer]
listen_addr = 0.0.0.0
listen_port = 6432
auth_type = scram-sha-256
auth_file = /etc/pgbouncer/users.txt
pool_mode = transaction
client_tls_sslmode = require
client_tls_cert_file = /tls/server.crt
client_tls_key_file = /tls/server.key
server_tls_sslmode = verify-ca
server_tls_ca_file = /tls/ca.crt
"""
# Sessions of the service, each with the address of its client and the version of TLS, or nothing.
POSTGRES_SESSIONS = """
SELECT client_addr, coalesce(version, '') FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'web'
"""
MYSQL_CIPHERS = """
SELECT variable_value FROM performance_schema.status_by_thread JOIN performance_schema.threads USING (thread_id)
WHERE variable_name = 'Ssl_cipher' AND processlist_user = 'web'
"""


@dataclass(frozen=True)
class Outside:
    """The servers and the release on them."""

    authority: Authority
    postgres: OutsideServer
    mysql: OutsideServer
    release: SecondRelease
    values: dict[str, Any]
    directory: Path

    def deploy(self, **databases: dict[str, Any] | None) -> None:
        """Install or upgrade the release. `databases` adds values to those of an alias; None removes the alias."""
        given = {alias: value and self.values["databases"][alias] | value for alias, value in databases.items()}
        values = self.values | {"databases": self.values["databases"] | given}
        file = self.directory / "values.json"
        file.write_text(json.dumps(values))
        chart = str(self.release.cluster.source / "chart")
        self.release.helm("upgrade", "--install", self.release.name, chart, "--values", str(file))

    def sessions(self) -> list[list[str]]:
        """Return the client's address and the version of TLS of each session of the service on PostgreSQL."""
        lines = self.postgres.ask("psql", "--username=postgres", "--dbname=shop", "-At", "-F,", "-c", POSTGRES_SESSIONS)
        return [line.split(",") for line in lines]


@pytest.fixture(scope="module")
def outside(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """The servers, and the release after its first installation."""
    authority, release = Authority.new("the team's authority"), SecondRelease(cluster, "outside")
    tls = {name: f"/tls/{file}" for name, file in (("ca", "ca.crt"), ("cert", "server.crt"), ("key", "server.key"))}
    bundled = json.loads(cluster.helm("get", "values", "switchyard", "--all", "--output", "json"))
    images = {engine: bundled["bundled"][engine]["image"] for engine in ("postgresql", "mysql")}
    with ExitStack() as stack:
        postgres = stack.enter_context(
            outside_server(
                "postgres",
                images["postgresql"],
                files=authority.files("postgres") | {"docker-entrypoint-initdb.d/users.sql": POSTGRES_USERS},
                command=["postgres", "--ssl=on", *(f"--ssl_{each}_file={tls[each]}" for each in ("cert", "key"))],
                POSTGRES_PASSWORD="superuser",
                POSTGRES_DB="shop",
            )
        )
        mysql = stack.enter_context(
            outside_server(
                "mysql",
                images["mysql"],
                files=authority.files("mysql") | {"docker-entrypoint-initdb.d/users.sql": MYSQL_USERS},
                command=["mysqld", *(f"--ssl-{each}={path}" for each, path in tls.items())],
                MYSQL_ROOT_PASSWORD="superuser",
                MYSQL_DATABASE="older",
            )
        )
        stack.enter_context(release.namespace())
        release.apply(
            *postgres.service(5432),
            *mysql.service(3306),
            secret("team-postgres", {"web-password": WEB, "ddl-password": DDL}),
            secret("team-mysql", {"web": WEB, "ddl": DDL}),
            secret("team-authority", {"authority.pem": authority.pem}),
            config_map("region", {"bundle.pem": authority.pem}),
        )
        values = {
            "image": {"tag": bundled["image"]["tag"]},
            "replicaCount": 1,
            "databases": {
                "default": {
                    "mode": "external",
                    "host": "postgres",
                    "name": "shop",
                    "user": "web",
                    "secret": {"name": "team-postgres", "key": "web-password"},
                    "migrationUser": "ddl",
                    "migrationSecret": {"name": "team-postgres", "key": "ddl-password"},
                    "tls": {"ca": {"configMap": "region", "key": "bundle.pem"}},
                    "cidrs": [f"{postgres.address}/32"],
                },
                "legacy": {
                    "mode": "external",
                    "host": "mysql",
                    "name": "older",
                    "user": "web",
                    "secret": {"name": "team-mysql", "key": "web"},
                    "migrationUser": "ddl",
                    "migrationSecret": {"name": "team-mysql", "key": "ddl"},
                    "tls": {"ca": {"secret": "team-authority", "key": "authority.pem"}},
                    "cidrs": [f"{mysql.address}/32"],
                },
                "replica": None,
                "analytics": None,
            },
        }
        found = Outside(authority, postgres, mysql, release, values, tmp_path_factory.mktemp("outside"))
        found.deploy()
        release.served()
        yield found


def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def config_map(name: str, data: dict[str, str]) -> dict[str, Any]:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_jobs__on_servers_outside(outside: Outside) -> None:
    """The Job of each owner made the tables as the user for migrations."""
    jobs = {alias: job["status"].get("succeeded") for alias, job in outside.release.jobs().items()}
    owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'accounts_user'"

    assert jobs == {"default": 1, "legacy": 1}
    assert outside.postgres.ask("psql", "--username=postgres", "--dbname=shop", "-At", "-c", owner) == ["ddl"]


def test_requests__on_servers_outside(outside: Outside) -> None:
    """A written user is on the PostgreSQL server and is read again; the customers of the MySQL server are listed."""
    user = outside.release.call("POST", "/api/users", {"username": "outside"})
    stored = f"SELECT username FROM accounts_user WHERE id = {user['id']}"

    assert outside.release.call("GET", f"/api/users/{user['id']}")["username"] == "outside"
    assert outside.postgres.ask("psql", "--username=postgres", "--dbname=shop", "-At", "-c", stored) == ["outside"]
    assert outside.release.call("GET", "/api/legacy/customers")["items"] == []
    assert outside.release.call("GET", "/readyz")["aliases"] == {"default": "up", "legacy": "up"}


def test_sessions__on_servers_outside(outside: Outside) -> None:
    """Every session of the service is encrypted, on both servers."""
    outside.release.call("GET", "/api/legacy/customers")

    versions = {version for _, version in outside.sessions()}
    ciphers = outside.mysql.ask("env", "MYSQL_PWD=superuser", "mysql", "--user=root", "-N", "-e", MYSQL_CIPHERS)
    assert versions == {"TLSv1.3"}
    assert {cipher[:4] for cipher in ciphers} == {"TLS_"}


def test_authority__of_others(outside: Outside) -> None:
    """With the certificate of another authority a new pod does not start and says why; the pods before it serve on."""
    outside.release.apply(config_map("others", {"ca.crt": Authority.new("another authority").pem}))
    try:
        outside.deploy(
            default={"tls": {"ca": {"configMap": "others"}}}, legacy={"tls": {"ca": {"configMap": "others"}}}
        )

        until(lambda: gate_says(outside.release).keys() == {"default", "legacy"}, "both reasons", seconds=90)
        said = gate_says(outside.release)
        assert "certificate verify failed" in said["default"]
        assert "certificate" in said["legacy"]
        assert outside.release.call("GET", "/readyz")["status"] == "ok"
    finally:
        outside.deploy()


def test_pooler__before_a_server_outside(outside: Outside) -> None:
    """Behind PgBouncer in transaction mode requests are served, and the Job goes to the server itself."""
    files = outside.authority.files("pooler") | {
        "etc/pgbouncer/pgbouncer.ini": POOLER.format(address=outside.postgres.address),
        "etc/pgbouncer/users.txt": f'"web" "{WEB}"\n',  # without the user of the Job, which cannot come this way
    }
    with outside_server("pooler", POOLER_IMAGE, files=files) as pooler:
        outside.release.apply(*pooler.service(6432))
        outside.deploy(
            default={
                "host": "pooler",
                "port": 6432,
                "pooler": "transaction",
                "directHost": "postgres",
                "cidrs": [f"{outside.postgres.address}/32", f"{pooler.address}/32"],
            }
        )
        outside.release.served()

        user = outside.release.call("POST", "/api/users", {"username": "pooled"})
        assert outside.release.call("GET", f"/api/users/{user['id']}")["username"] == "pooled"
        assert [pooler.address, "TLSv1.3"] in outside.sessions()


def test_alias__removed(outside: Outside) -> None:
    """An upgrade without `legacy` removes its Job and its apps; the other alias serves on."""
    outside.deploy(legacy=None)
    outside.release.served()

    assert outside.release.jobs().keys() == {"default"}
    assert outside.release.call("GET", "/readyz") == {"status": "ok", "aliases": {"default": "up"}}


def gate_says(release: SecondRelease) -> dict[str, str]:
    """Return what the init container of a pod that waits says of each alias."""
    selector = "app.kubernetes.io/component=service"
    pods = json.loads(release.kubectl("get", "pods", "--selector", selector, "--output", "json"))["items"]
    waiting = [
        pod["metadata"]["name"]
        for pod in pods
        if any("running" in gate["state"] for gate in pod["status"].get("initContainerStatuses", []))
    ]
    lines = [line for pod in waiting for line in release.kubectl("logs", pod, "--container", "gate").splitlines()]
    return {line.partition(":")[0]: line for line in lines}
