"""Each mode makes the same model: what the service and the Jobs are told, and which files they find."""

from pathlib import Path
from typing import Any

import pytest
from tests.chart.objects import CHART, Object, Render, environment, of_kind, projected_files, service_environment
from tests.chart.secret_store import SecretStore
from tests.chart.test_databases import told

EXTERNAL: Object = {
    "mode": "external",
    "host": "db.example.org",
    "name": "shop",
    "user": "web",
    "secret": {"name": "team-db", "key": "web-password"},
    "tls": {"ca": {"configMap": "region-ca", "key": "bundle.pem"}},
}
ONLY_DEFAULT: Object = {alias: {"enabled": False} for alias in ("replica", "analytics", "legacy")}


def only(**databases: Object | None) -> Object:
    """Return values with these aliases and no others."""
    return {"databases": ONLY_DEFAULT | databases}


def url(objects: list[Object], alias: str) -> str:
    """Return the URL of an alias that the service is told."""
    return service_environment(objects)[f"DATABASE_{alias.upper()}_URL"]


def service_files(objects: list[Object]) -> dict[str, Object]:
    """Return the place of each projected file of the service, by path."""
    (deployment,) = of_kind(objects, "Deployment", "service").values()
    return projected_files(deployment["spec"]["template"]["spec"])


def job(objects: list[Object], alias: str) -> Object:
    """Return the pod's spec of the migration Job of an alias."""
    (found,) = [
        each for each in of_kind(objects, "Job").values() if each["metadata"]["labels"]["switchyard/alias"] == alias
    ]
    spec: Object = found["spec"]["template"]["spec"]
    return spec


def test_external__postgresql(render: Render) -> None:
    """The service connects as the given user, verifies the server with the given certificate, and no server is made."""
    objects = render(only(default=EXTERNAL | {"port": 6543}))

    assert url(objects, "default") == (
        "postgres://web@db.example.org:6543/shop?sslmode=verify-full&sslrootcert=/run/secrets/switchyard/ca/default.crt"
    )
    assert service_files(objects)["databases/default"] == {"secret": "team-db", "key": "web-password"}
    assert service_files(objects)["ca/default.crt"] == {"configMap": "region-ca", "key": "bundle.pem"}
    assert not of_kind(objects, "StatefulSet")
    assert of_kind(objects, "Secret").keys() == {"sy-switchyard"}


def test_external__mysql(render: Render) -> None:
    """MySQL and MariaDB get the same values in the words of their client."""
    ca = {"secret": "ca"}
    objects = render(
        only(default={"engine": "postgresql"}, legacy=EXTERNAL | {"enabled": True, "tls": {"ca": ca}, "user": "a@b"})
    )

    assert url(objects, "legacy") == (
        "mysql://a%40b@db.example.org:3306/shop?ssl_mode=VERIFY_IDENTITY&ssl_ca=/run/secrets/switchyard/ca/legacy.crt"
    )
    assert service_files(objects)["ca/legacy.crt"] == {"secret": "ca", "key": "ca.crt"}


@pytest.mark.parametrize(
    ("mode", "postgresql", "mysql"),
    [
        ("disable", "disable", "DISABLED"),
        ("require", "require", "REQUIRED"),
        ("verify-ca", "verify-ca", "VERIFY_CA"),
        ("verify-full", "verify-full", "VERIFY_IDENTITY"),
    ],
)
def test_external__tls_modes(render: Render, mode: str, postgresql: str, mysql: str, tmp_path: Path) -> None:
    """The service accepts each mode, for both vendors."""
    ca = {"ca": {"secret": "ca"}} if mode.startswith("verify") else {}
    given = EXTERNAL | {"tls": {"mode": mode, **ca}}
    objects = render(only(default=given, legacy=given | {"enabled": True, "host": "my.example.org"}))

    databases = told(objects, tmp_path).databases
    assert databases["default"]["OPTIONS"]["sslmode"] == postgresql
    assert databases["legacy"]["OPTIONS"]["ssl_mode"] == mysql
    assert ("sslrootcert" in databases["default"]["OPTIONS"]) == ("ssl" in databases["legacy"]["OPTIONS"]) == bool(ca)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "db.example.org:5432"),
        ({"port": 6432}, "db.example.org:6432"),
        ({"port": 6432, "directHost": "primary"}, "primary:5432"),
        ({"port": 6432, "directPort": 5433}, "db.example.org:5433"),
        ({"directHost": "primary", "directPort": 5433}, "primary:5433"),
    ],
)
def test_external__direct_address(render: Render, given: Object, address: str) -> None:
    """Migrations go past a pooler, to the direct host and port."""
    objects = render(only(default=EXTERNAL | given))

    (container,) = job(objects, "default")["containers"]
    assert environment(container)["DATABASE_DEFAULT_URL"] == (
        f"postgres://web@{address}/shop"
        "?sslmode=verify-full&sslrootcert=/run/secrets/switchyard/ca/default.crt&statement_timeout=0"
    )


@pytest.mark.parametrize("alias", ["default", "replica"])
def test_external__pooler(render: Render, alias: str, tmp_path: Path) -> None:
    """The service is told of a pooler and of the server behind it; migrations go past the pooler."""
    pooled = {"host": "pooler", "port": 6432, "pooler": "transaction", "directHost": "server"}
    databases = {"default": EXTERNAL, "replica": {"enabled": True, "host": "ro"}}
    databases[alias] = databases[alias] | pooled
    objects = render(only(**databases))

    found = told(objects, tmp_path).databases
    assert (found[alias]["HOST"], found[alias]["PORT"]) == ("pooler", "6432")
    assert (found[alias]["DIRECT"]["HOST"], found[alias]["DIRECT"]["PORT"]) == ("server", "5432")
    assert [each for each in found if "DIRECT" in found[each]] == [alias]
    (container,) = job(objects, "default")["containers"]
    assert "pooler" not in environment(container)["DATABASE_DEFAULT_URL"]


def test_external__several_servers_behind_a_pooler(render: Render, tmp_path: Path) -> None:
    """The service is told of them, so that it reads no replica that nobody can name."""
    pooled = {"host": "ro", "pooler": "transaction", "directPort": 5433, "shared": True}
    objects = render(only(default=EXTERNAL, replica=pooled))

    assert told(objects, tmp_path).databases["replica"]["SHARED"] is True


def test_external__migration_user(render: Render) -> None:
    """A user of its own migrates; only its Job has that password, and no other."""
    migrator = {"migrationUser": "ddl", "migrationSecret": {"name": "team-ddl", "key": "pw"}}
    objects = render(only(default=EXTERNAL | migrator))

    (container,) = job(objects, "default")["containers"]
    assert environment(container)["DATABASE_DEFAULT_URL"].startswith("postgres://ddl@")
    assert projected_files(job(objects, "default")) == {
        "databases/default": {"secret": "team-ddl", "key": "pw"},
        "ca/default.crt": {"configMap": "region-ca", "key": "bundle.pem"},
    }
    assert service_files(objects)["databases/default"] == {"secret": "team-db", "key": "web-password"}


def test_external__one_user(render: Render) -> None:
    """Without a user for migrations, the service's own user migrates."""
    objects = render(only(default=EXTERNAL))

    assert projected_files(job(objects, "default"))["databases/default"] == {"secret": "team-db", "key": "web-password"}


def test_external__replica(render: Render, tmp_path: Path) -> None:
    """A replica needs its host alone: its mode, user and TLS are those of its owner. It migrates nothing."""
    objects = render(only(default=EXTERNAL, replica={"host": "ro.example.org"}))

    assert url(objects, "replica").startswith("postgres://web@ro.example.org:5432/shop?sslmode=verify-full")
    assert told(objects, tmp_path).switchyard["REPLICAS"] == {"default": ["replica"]}
    assert service_files(objects)["databases/replica"] == service_files(objects)["databases/default"]
    assert service_files(objects)["ca/replica.crt"] == service_files(objects)["ca/default.crt"]
    assert len(of_kind(objects, "Job")) == 1


def test_external__replica_with_its_own_user(render: Render) -> None:
    """What the values of a replica name is its own."""
    own = {"host": "ro", "user": "ro", "secret": {"name": "ro"}, "tls": {"ca": {"secret": "ro-ca"}}}
    objects = render(only(default=EXTERNAL, replica=own))

    assert url(objects, "replica").startswith("postgres://ro@ro:5432/shop?")
    assert service_files(objects)["databases/replica"] == {"secret": "ro", "key": "password"}
    assert service_files(objects)["ca/replica.crt"] == {"secret": "ro-ca", "key": "ca.crt"}


@pytest.mark.parametrize("owner", ["default", "analytics", "legacy"])
def test_external__replica_of_a_bundled_owner(render: Render, owner: str, tmp_path: Path) -> None:
    """An external replica stands behind any owner, and has the user of that owner."""
    far = {"replicaOf": owner, "mode": "external", "host": "far", "tls": {"mode": "require"}}
    objects = render({"databases": {"far": far}})

    assert told(objects, tmp_path).databases["far"]["USER"] == "app"
    assert "far" in told(objects, tmp_path).switchyard["REPLICAS"][owner]
    assert service_files(objects)["databases/far"] == {"secret": f"sy-switchyard-db-{owner}-app", "key": "password"}


def test_cloudnativepg__by_its_own_names(render: Render, tmp_path: Path) -> None:
    """The name of the Cluster is enough: its services, its user, its Secrets and its certificate follow from that."""
    objects = render(only(default={"mode": "cloudnativepg", "cluster": "pg"}, replica={"enabled": True}))

    tls = "sslmode=verify-full&sslrootcert=/run/secrets/switchyard/ca"
    assert url(objects, "default") == f"postgres://app@pg-rw:5432/app?{tls}/default.crt"
    assert url(objects, "replica") == f"postgres://app@pg-ro:5432/app?{tls}/replica.crt"
    assert told(objects, tmp_path).switchyard["REPLICAS"] == {"default": ["replica"]}
    for alias in ("default", "replica"):
        assert service_files(objects)[f"databases/{alias}"] == {"secret": "pg-app", "key": "password"}
        assert service_files(objects)[f"ca/{alias}.crt"] == {"secret": "pg-ca", "key": "ca.crt"}
    assert not of_kind(objects, "StatefulSet")


def test_cloudnativepg__with_users_of_its_own(render: Render) -> None:
    """Users, their Secrets, the database and the certificate may be others."""
    given = {
        "mode": "cloudnativepg",
        "cluster": "pg",
        "name": "shop",
        "user": "web",
        "secret": {"name": "pg-web"},
        "migrationUser": "ddl",
        "migrationSecret": {"name": "pg-ddl", "key": "pw"},
        "tls": {"ca": {"secret": "our-ca", "key": "tls.crt"}},
    }
    objects = render(only(default=given))

    assert url(objects, "default").startswith("postgres://web@pg-rw:5432/shop?")
    assert service_files(objects)["databases/default"] == {"secret": "pg-web", "key": "password"}
    assert projected_files(job(objects, "default")) == {
        "databases/default": {"secret": "pg-ddl", "key": "pw"},
        "ca/default.crt": {"secret": "our-ca", "key": "tls.crt"},
    }


@pytest.mark.parametrize(("alias", "service"), [("default", "pg-rw"), ("replica", "pg-ro")])
def test_cloudnativepg__pooler(render: Render, alias: str, service: str, tmp_path: Path) -> None:
    """The service connects to the `Pooler`, and is told of the cluster's service behind it; migrations go past it."""
    databases: Object = {"default": {"mode": "cloudnativepg", "cluster": "pg"}, "replica": {"enabled": True}}
    databases[alias]["poolerName"] = "pg-pooler"
    objects = render(only(**databases))

    found = told(objects, tmp_path).databases
    assert (found[alias]["HOST"], found[alias]["PORT"]) == ("pg-pooler", "5432")
    assert (found[alias]["DIRECT"]["HOST"], found[alias]["DIRECT"]["PORT"]) == (service, "5432")
    assert [each for each in found if "DIRECT" in found[each]] == [alias]
    assert found[alias]["OPTIONS"]["sslmode"] == "verify-full"
    assert ("SHARED" in found[alias]) == (alias == "replica")
    (container,) = job(objects, "default")["containers"]
    assert environment(container)["DATABASE_DEFAULT_URL"].startswith(
        "postgres://app@pg-rw:5432/app?sslmode=verify-full"
    )
    assert "pooler" not in environment(container)["DATABASE_DEFAULT_URL"]


def test_modes__side_by_side(render: Render, tmp_path: Path) -> None:
    """Each alias has its own mode."""
    objects = render(
        {
            "databases": {
                "analytics": {"mode": "cloudnativepg", "cluster": "pg"},
                "far": {"replicaOf": "analytics"},
                "legacy": EXTERNAL,
            }
        }
    )

    hosts = {alias: database["HOST"] for alias, database in told(objects, tmp_path).databases.items()}
    assert hosts == {
        "default": "sy-switchyard-db-default",
        "replica": "sy-switchyard-db-replica",
        "analytics": "pg-rw",
        "far": "pg-ro",
        "legacy": "db.example.org",
    }
    assert of_kind(objects, "StatefulSet").keys() == {"sy-switchyard-db-default", "sy-switchyard-db-replica"}


def test_secrets__of_others(render: Render, store: SecretStore) -> None:
    """A Secret and its key that exist are taken as they are: the chart neither makes nor changes them."""
    store.add("team-db", **{"web-password": "secret"})
    given = EXTERNAL | {"tls": {"mode": "require"}}

    assert of_kind(render(only(default=given), store=store), "Secret").keys() == {"sy-switchyard"}


def test_templates__read_the_model_only() -> None:
    """No template but the model and its validation reads the values of databases, or asks for a mode."""
    allowed = {
        "_databases.tpl",
        "_validate_databases.tpl",
        "_bundled.tpl",
        "_existing.tpl",
        "_external.tpl",
        "_cloudnativepg.tpl",
    }
    readers: dict[str, Any] = {
        path.name: path
        for path in (CHART / "templates").rglob("*")
        if path.is_file() and (".Values.databases" in path.read_text() or "values.mode" in path.read_text())
    }

    assert readers.keys() <= allowed
