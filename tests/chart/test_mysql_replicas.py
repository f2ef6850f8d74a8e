"""Bundled replicas of a bundled MySQL owner, by values alone."""

from pathlib import Path
from typing import Any

import pytest
from tests.chart.objects import Object, RefusedError, Render, environment, of_kind
from tests.chart.secret_store import SecretStore
from tests.chart.test_databases import told
from tests.chart.test_network import DNS, allowed, policies

REPLICAS = {
    "copy": {"replicaOf": "legacy"},
    "late": {"replicaOf": "legacy", "applyDelay": 5, "maxLagSeconds": 10, "storage": {"size": "3Gi"}},
}


def server(objects: list[Object], alias: str) -> Object:
    """Return the container of a bundled server."""
    spec: Any = of_kind(objects, "StatefulSet")[f"sy-switchyard-db-{alias}"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    return dict(container)


def test_replicas__of_mysql(render: Render, tmp_path: Path) -> None:
    """Each replica is a line of values: a server that follows its owner, its certificate as only Secret, and no Job."""
    objects = render({"databases": REPLICAS})

    for alias, delay, lag in (("copy", "0", "30"), ("late", "5", "10")):
        container = server(objects, alias)
        environ = environment(container)
        assert container["command"] == ["/scripts/mysql-replica.sh"]
        assert container["readinessProbe"]["exec"]["command"] == ["/scripts/mysql-replica-ready.sh"]
        assert (environ["SOURCE_HOST"], environ["SOURCE_PORT"]) == ("sy-switchyard-db-legacy", "3306")
        assert (environ["APPLY_DELAY"], environ["MAX_LAG_SECONDS"]) == (delay, lag)
    assert told(objects, tmp_path).switchyard["REPLICAS"] == {"default": ["replica"], "legacy": ["copy", "late"]}
    made = {name for kind in ("Job", "Secret") for name in of_kind(objects, kind) if "copy" in name or "late" in name}
    assert made == {"sy-switchyard-db-copy-tls", "sy-switchyard-db-late-tls"}


def test_replicas__options_of_mysql(render: Render) -> None:
    """A replica runs with the options of its owner, which alone loads the plugin that clones for others."""
    objects = render({"databases": REPLICAS})

    owner, replica = server(objects, "legacy")["args"], server(objects, "copy")["args"]
    assert [argument for argument in owner if argument not in replica] == ["mysqld", "--plugin-load-add=mysql_clone.so"]
    assert set(replica) <= set(owner)
    assert {"--gtid-mode=ON", "--enforce-gtid-consistency=ON"} <= set(replica)


def test_owner__lets_its_migrator_make_triggers(render: Render) -> None:
    """With a binary log MySQL refuses CREATE TRIGGER to the migrator without this option, also after a promotion."""
    objects = render({"databases": REPLICAS})

    for alias in ("legacy", "copy"):
        assert "--log-bin-trust-function-creators=ON" in server(objects, alias)["args"]


def test_replicas__passwords_of_mysql(render: Render) -> None:
    """A replica has one password, that of the owner's user for replication, and from a Secret."""
    objects = render({"databases": REPLICAS})

    secrets = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]
        for entry in server(objects, "copy")["env"]
        if "valueFrom" in entry
    }
    assert secrets == {"REPLICATOR_PASSWORD": {"name": "sy-switchyard-db-legacy-server", "key": "replicator"}}
    assert (
        secrets.items()
        <= {
            entry["name"]: entry.get("valueFrom", {}).get("secretKeyRef") for entry in server(objects, "legacy")["env"]
        }.items()
    )


def test_secrets__of_replication(render: Render, store: SecretStore) -> None:
    """The password for replication has 32 characters, the most that MySQL takes, and an owner without one gets one."""
    store.apply(render(store=store))
    name = "sy-switchyard-db-legacy-server"
    before = store.secrets[name]["data"]
    assert len(before.pop("replicator")) == 44  # of 32 characters in base64

    store.apply(render(store=store))
    after = store.secrets[name]["data"]

    assert after["superuser"] == before["superuser"]
    assert len(after["replicator"]) == 44


def test_policies__of_a_mysql_replica(render: Render) -> None:
    """A replica reaches its source alone, and the source is reached by its replicas."""
    found = policies(render({"databases": REPLICAS}))

    assert allowed(found["database copy"], "egress") == {*DNS, ("TCP", 3306, "database legacy")}
    assert {peer for _, _, peer in allowed(found["database copy"], "ingress")} == {"service", "crossdb-worker", "test"}
    assert allowed(found["database legacy"], "egress") == DNS
    assert {peer for _, _, peer in allowed(found["database legacy"], "ingress")} >= {"database copy", "database late"}


def test_replicas__of_mysql_elsewhere(render: Render) -> None:
    """The chart runs no replica of a server that it does not run."""
    legacy = {"mode": "external", "host": "old.example.org", "name": "shop", "secret": {"name": "old"}}
    values = {
        "databases": {
            "legacy": {**legacy, "tls": {"mode": "require"}},
            "copy": {"replicaOf": "legacy", "mode": "bundled"},
        }
    }

    with pytest.raises(RefusedError, match="and its owner legacy has mode external"):
        render(values)
