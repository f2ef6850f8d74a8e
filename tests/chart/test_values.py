"""Values that make no sense are refused, with what to set instead."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.chart.bad_values import Bad, Schema, together, values_of
from tests.chart.objects import CHART, RefusedError, Render
from tests.chart.secret_store import SecretStore
from tests.chart.values_table import PAGE, VALUES, page, rows

OF_KUBERNETES = {
    "/properties/global",
    "/properties/affinity/properties/nodeAffinity",
    "/properties/affinity/properties/podAffinity",
    "/properties/affinity/properties/podAntiAffinity",
    "/properties/autoscaling/properties/behavior/properties/scaleDown",
    "/properties/autoscaling/properties/behavior/properties/scaleUp",
    "/properties/extraObjects/items",
    "/properties/extraVolumes/items",
}
EXTERNAL = {
    "mode": "external",
    "engine": "postgresql",
    "host": "db",
    "name": "shop",
    "secret": {"name": "db"},
    "tls": {"ca": {"secret": "ca"}},
}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"imagee": {}}, "additional properties 'imagee' not allowed"),
        ({"image": {"tag": 1}}, "at '/image/tag': got number, want string"),
        ({"image": {"repository": "shop:1"}}, "at '/image/repository': 'shop:1' does not match pattern"),
        (
            {"networkPolicy": {"httpFrom": [{"ipBlock": {"cidr": "10.0.0.256/8"}}]}},
            "at '/networkPolicy/httpFrom/0/ipBlock/cidr': '10.0.0.256/8' does not match pattern",
        ),
        ({"networkPolicy": None}, "missing property 'networkPolicy'"),
        ({"replicaCount": "2"}, "at '/replicaCount': got string, want integer"),
        ({"migrations": {"attempt": 0}}, "at '/migrations/attempt': minimum: got 0, want 1"),
        ({"env": {"lower": "x"}}, "at '/env': additional properties 'lower' not allowed"),
        ({"env": {"LEGACY_WRITABLE": True}}, "at '/env/LEGACY_WRITABLE': got boolean, want string"),
        ({"databases": {"Upper": {"engine": "mysql"}}}, "at '/databases': additional properties 'Upper' not allowed"),
        ({"databases": {"a" * 16: {}}}, f"additional properties '{'a' * 16}' not allowed"),
        (
            {"databases": {"x": {"engine": "oracle"}}},
            "at '/databases/x/engine': value must be one of 'postgresql', 'mysql'",
        ),
        (
            {"databases": {"x": {"mode": "rds"}}},
            "at '/databases/x/mode': value must be one of 'bundled', 'external', 'cloudnativepg'",
        ),
        ({"databases": {"x": {"size": "1Gi"}}}, "at '/databases/x': additional properties 'size' not allowed"),
        ({"bundled": {"mysql": {"tag": "9"}}}, "at '/bundled/mysql': additional properties 'tag' not allowed"),
    ],
)
def test_schema__of_a_wrong_value(render: Render, values: dict[str, Any], said: str) -> None:
    """The schema names the place, and what it takes."""
    with pytest.raises(RefusedError) as refused:
        render(values)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"databases": {"default": {"enabled": False}}}, "databases.default is missing"),
        (
            {"databases": {"x": {}}},
            "databases.x has no engine, which mode bundled needs; set databases.x.engine to postgresql or mysql",
        ),
        (
            {"databases": {"x": {"replicaOf": "nowhere"}}},
            (
                'databases.x.replicaOf names "nowhere", which is not an enabled alias; '
                "set it to one of: analytics, default"
            ),
        ),
        (
            {"databases": {"x": {"replicaOf": "replica"}}},
            'databases.x.replicaOf names "replica", which is a replica itself; set it to "default"',
        ),
        (
            {"databases": {"x": {"replicaOf": "default", "managed": False}}},
            "databases.x.managed is set on a replica; set it on databases.default, its owner",
        ),
        (
            {"databases": {"legacy": {"managed": False, "clearMark": "legacy.0001_initial"}}},
            "databases.legacy.clearMark is set, and databases.legacy.managed is false, so that no migration runs there",
        ),
        ({"databases": {"x": {"replicaOf": "default", "apps": ["a"]}}}, "databases.x.apps is set on a replica"),
        (
            {"databases": {"legacy": {"maxLagSeconds": 5}}},
            "databases.legacy.maxLagSeconds is set on an owner; remove it",
        ),
        (
            {"databases": {"x": {"engine": "mysql", "apps": ["a"]}, "y": {"engine": "mysql", "apps": ["a"]}}},
            'databases.y.apps names "a", which databases.x.apps names too',
        ),
        ({"env": {"DATABASE_DEFAULT_URL": "x"}}, "env.DATABASE_DEFAULT_URL is set by the chart itself"),
        (
            {"databases": {"x": {"mode": "external", "engine": "mysql", "name": "x", "secret": {"name": "x"}}}},
            "databases.x has no host, which mode external needs; set databases.x.host",
        ),
        (
            {"databases": {"x": {"mode": "external", "engine": "mysql", "host": "x", "name": "x"}}},
            "databases.x has no secret, which mode external needs; set databases.x.secret.name",
        ),
        (
            {"databases": {"x": EXTERNAL | {"tls": {}}}},
            "databases.x.tls has no certificate of the authority, which mode verify-full needs; set databases.x.tls.ca",
        ),
        (
            {"databases": {"x": EXTERNAL | {"tls": {"ca": {"secret": "a", "configMap": "b"}}}}},
            "databases.x.tls.ca needs one place of the certificate",
        ),
        (
            {"databases": {"x": EXTERNAL | {"tls": {"mode": "require", "ca": {"secret": "a"}}}}},
            "databases.x.tls.ca is not read with databases.x.tls.mode=require",
        ),
        (
            {"databases": {"x": EXTERNAL | {"migrationUser": "ddl"}}},
            "databases.x.migrationUser is set without its password; set databases.x.migrationSecret.name",
        ),
        (
            {"databases": {"x": EXTERNAL | {"migrationSecret": {"name": "ddl"}}}},
            "databases.x.migrationSecret is set without its user; set databases.x.migrationUser",
        ),
        (
            {"databases": {"legacy": {"mode": "cloudnativepg", "cluster": "pg"}}},
            "databases.legacy.engine is mysql, and CloudNativePG runs postgresql",
        ),
        (
            {"databases": {"x": {"mode": "cloudnativepg"}}},
            "databases.x has no cluster, which mode cloudnativepg needs; set databases.x.cluster",
        ),
        (
            {"databases": {"x": EXTERNAL | {"poolerName": "pooler"}}},
            "databases.x.poolerName is not a key of mode external; remove it, or set databases.x.mode to one of: cloud",
        ),
        (
            {"databases": {"x": {"engine": "mysql", "host": "db"}}},
            "databases.x.host is not a key of mode bundled; remove it, or set databases.x.mode to one of: external",
        ),
        (
            {"databases": {"x": EXTERNAL | {"storage": {"size": "1Gi"}}}},
            "databases.x.storage is not a key of mode external; remove it, or set databases.x.mode to one of: bundled",
        ),
        (
            {"databases": {"x": {"replicaOf": "default", "migrationUser": "ddl"}}},
            "databases.x.migrationUser is set on a replica; set it on databases.default, its owner",
        ),
        (
            {"databases": {"x": {"replicaOf": "default", "mode": "cloudnativepg"}}},
            "databases.x has mode cloudnativepg, and its owner default has mode bundled; set databases.x.mode",
        ),
        (
            {"databases": {"analytics": {"enabled": False}, "x": {"replicaOf": "analytics"}}},
            'databases.x.replicaOf names "analytics", which is not an enabled alias; set databases.x.enabled=false',
        ),
        (
            {"databases": {"x": EXTERNAL, "y": EXTERNAL | {"host": "DB.", "port": 5432}}},
            "databases.y and databases.x are one database, db:5432/shop",
        ),
        (
            {"databases": {"x": EXTERNAL, "y": {"replicaOf": "x", "host": "db"}}},
            "databases.y and databases.x are one database, db:5432/shop",
        ),
        (
            {"databases": {alias: {"mode": "cloudnativepg", "cluster": "pg"} for alias in ("x", "y")}},
            "databases.y and databases.x are one database, pg-rw:5432/app",
        ),
        (
            {"databases": {"default": {"engine": None, "replicaOf": "analytics"}}},
            "databases.default.replicaOf makes a replica",
        ),
        (
            {"databases": {"x": {"replicaOf": "x"}}},
            "databases.x.replicaOf names the alias itself; set it to one of: analytics, default",
        ),
        (
            {"databases": {"x": EXTERNAL, "y": {"replicaOf": "x", "mode": "bundled"}}},
            "databases.y has mode bundled, and its owner x has mode external; set databases.y.mode to external\n",
        ),
        (
            {"databases": {"x": EXTERNAL, "y": {"replicaOf": "x"}}},
            "databases.y has no host, which mode external needs; set databases.y.host, or databases.y.enabled=false",
        ),
        (
            {"databases": {"x": EXTERNAL, "y": {"replicaOf": "x", "host": "y", "user": "ro"}}},
            "databases.y.user is set without its password; set databases.y.secret.name",
        ),
        (
            {"databases": {"x": EXTERNAL | {"pooler": "transaction"}}},
            "databases.x.pooler is set without the server behind the pooler; set databases.x.directHost",
        ),
        (
            {"databases": {"x": EXTERNAL, "y": {"replicaOf": "x", "host": "y", "shared": True}}},
            "databases.y.shared is set without a pooler; remove it",
        ),
        (
            {"databases": {"x": {"mode": "cloudnativepg", "cluster": "pg", "user": "web"}}},
            "databases.x.user is set without its password; set databases.x.secret.name",
        ),
        ({"env": {"API_TOKEN": "x"}}, "env.API_TOKEN is set by the chart itself; remove it and use databases, allowed"),
        (
            {"databases": {"x": EXTERNAL | {"engine": "mysql", "pooler": "transaction", "directHost": "db"}}},
            "databases.x.pooler is for PostgreSQL, and databases.x runs mysql; remove it",
        ),
        ({"ingress": {"enabled": True}}, "ingress.enabled is true, and ingress.hosts is empty; set ingress.hosts"),
        ({"httpRoute": {"enabled": True}}, "no Gateway is named; set httpRoute.parentRefs"),
        (
            {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
            "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled would count each query twice",
        ),
        (
            {"metrics": {"enabled": False, "podMonitor": {"enabled": True}}},
            "metrics.enabled is false, so there is nothing to scrape; set metrics.podMonitor.enabled to false, or",
        ),
        (
            {"metrics": {"enabled": False, "prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}},
            "set metrics.prometheusRule.enabled and metrics.dashboard.enabled to false, or metrics.enabled to true",
        ),
        (
            {"metrics": {"prometheusRule": {"enabled": True, "retiring": ["oracle"]}}},
            (
                'metrics.prometheusRule.retiring names "oracle", which is not an enabled alias; '
                "remove it, or set it to one of: analytics, default, legacy, replica"
            ),
        ),
        (
            {"metrics": {"dashboard": {"labels": {"app.kubernetes.io/name": "x"}}}},
            'metrics.dashboard.labels has "app.kubernetes.io/name", a label of the chart itself; remove it',
        ),
        (
            {"autoscaling": {"enabled": True, "minReplicas": 11}},
            "autoscaling.minReplicas is 11, and autoscaling.maxReplicas is 10",
        ),
        (
            {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": None}},
            "autoscaling has no target; set autoscaling.targetCPUUtilizationPercentage",
        ),
        (
            {"podLabels": {"app.kubernetes.io/component": "web"}},
            'podLabels has "app.kubernetes.io/component", a label of the chart itself; remove it',
        ),
        (
            {"extraVolumes": [{"name": "tmp", "emptyDir": {}}]},
            'extraVolumes names "tmp", which is the name of another volume',
        ),
        (
            {"extraVolumeMounts": [{"name": "fonts", "mountPath": "/fonts"}]},
            'extraVolumeMounts names "fonts", which is not a volume of extraVolumes; add it there',
        ),
        (
            {"extraVolumes": [{"name": "x"}], "extraVolumeMounts": [{"name": "x", "mountPath": "/tmp/"}]},
            'extraVolumeMounts mounts "x" at /tmp/, where the chart mounts a volume',
        ),
    ],
)
def test_validation__of_aliases_that_do_not_fit(render: Render, values: dict[str, Any], said: str) -> None:
    """What the schema cannot say is said by name, with the value to set."""
    with pytest.raises(RefusedError) as refused:
        render(values)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    "databases",
    [
        {"x": {"replicaOf": "nowhere", "host": "x"}},
        {"x": EXTERNAL | {"tls": {}}, "y": {"replicaOf": "x", "host": "y"}},
    ],
)
def test_validation__of_one_mistake(render: Render, databases: dict[str, Any]) -> None:
    """A mistake of an owner, or of its name, is told once, and not again of its replica."""
    with pytest.raises(RefusedError) as refused:
        render({"databases": databases})

    assert "1 problem(s) in the values" in str(refused.value)


def test_null__takes_a_key_back(render: Render) -> None:
    """With `null` each key of an alias is as if no values file had set it."""
    keys = SCHEMA["definitions"]["database"]["properties"].keys() - {"enabled", "required", "managed", "shared"}
    nothing = dict.fromkeys(keys)
    bundled = {"existingSecret": "passwords", "certificates": {"existingSecret": "certificates"}}
    repeatable = {"gitops": True, "service": {"existingSecret": "service"}, "bundled": bundled}

    def rendered(**databases: Any) -> Any:
        return render({**repeatable, "databases": databases})

    given = rendered(x=nothing | {"engine": "mysql"}, y=nothing | {"replicaOf": "x"})
    assert given == rendered(x={"engine": "mysql"}, y={"replicaOf": "x"})


def test_validation__of_several_problems(render: Render) -> None:
    """All problems are told at once."""
    with pytest.raises(RefusedError) as refused:
        render({"databases": {"x": {"replicaOf": "nowhere"}, "z": {}}, "env": {"SECRET_KEY": "x"}})

    assert "3 problem(s) in the values" in str(refused.value)


@pytest.mark.parametrize(
    ("databases", "made"),
    [
        (
            {"x": EXTERNAL | {"tls": {"mode": "require"}}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}},
        ),
        (
            {"x": {"mode": "cloudnativepg", "cluster": "pg"}},
            "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata: {name: pg}",
        ),
    ],
)
def test_validation__of_a_secret_that_the_release_makes(
    render: Render, store: SecretStore, databases: dict[str, Any], made: Any
) -> None:
    """What an object of values will make need not be there before."""
    with pytest.raises(RefusedError, match=r"databases\.x needs the Secret"):
        render({"databases": databases}, store=store)

    assert render({"databases": databases, "extraObjects": [made]}, store=store)


@pytest.mark.parametrize("release", ["1st", "a.b"])
def test_validation__of_the_release_name(render: Render, release: str) -> None:
    """A release whose name cannot be that of a Service is refused."""
    with pytest.raises(RefusedError, match=f'the release "{release}" cannot name a Service'):
        render(release=release)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, 'databases.x needs the Secret "db" with the key "password", and the namespace rails has none; create it'),
        (
            {"secret": {"name": "team", "key": "pw"}},
            'needs the key "pw" of the Secret "team", which has the keys: user',
        ),
        ({"tls": {"ca": {"configMap": "region"}}}, 'databases.x needs the ConfigMap "region" with the key "ca.crt"'),
    ],
)
def test_validation__of_a_missing_secret(render: Render, store: SecretStore, given: dict[str, Any], said: str) -> None:
    """In a cluster, a Secret, a ConfigMap or a key that is missing is refused by name."""
    store.add("ca", **{"ca.crt": "certificate"})
    store.add("team", user="web")
    with pytest.raises(RefusedError) as refused:
        render({"databases": {"x": EXTERNAL | given}}, store=store)

    assert said in str(refused.value)


SCHEMA = json.loads((CHART / "values.schema.json").read_text())
NAMES = {"^[A-Z][A-Z0-9_]*$": "LEGACY_WRITABLE", "^[a-z][a-z0-9]{0,14}$": "x"}
BAD = list(Schema(SCHEMA, NAMES).bad_values())


@pytest.mark.parametrize("group", together(BAD))
def test_schema__of_each_key(render: Render, group: list[Bad]) -> None:
    """Each value that breaks what the schema says is refused, and the message names its key."""
    with pytest.raises(RefusedError) as refused:
        render(values_of(group))

    assert [bad for bad in group if bad.said not in str(refused.value)] == []


def test_schema__bad_values_are_many() -> None:
    """The test above tries at least sixty values."""
    assert len(BAD) >= 60


def objects_of(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema of an object with its place."""
    if isinstance(schema, dict):
        if "object" in schema.get("type", ""):
            yield path, schema
        for key, below in schema.items():
            yield from objects_of(below, f"{path}/{key}")


def test_schema__refuses_unknown_keys() -> None:
    """Every object says which keys it has, but for objects that Kubernetes itself checks."""
    open_objects = {path for path, found in objects_of(SCHEMA) if found.get("additionalProperties", True) is True}

    assert open_objects == OF_KUBERNETES


def test_documentation__of_values() -> None:
    """The table in docs/chart.md is made from values.yaml: `python -m tests.chart.values_table` makes it again."""
    assert PAGE.read_text() == page(PAGE.read_text(), VALUES.read_text())


def test_documentation__of_each_value() -> None:
    """Each value has a meaning, and each key of an alias in the schema is described."""
    found = rows(VALUES.read_text())

    assert [row.value for row in found if not row.meaning] == []
    described = {
        row.value.strip("`").rpartition(".")[2] for row in found if row.value.startswith("`databases.<alias>.")
    }
    assert described == SCHEMA["definitions"]["database"]["properties"].keys()


def test_documentation__of_each_default() -> None:
    """The schema has no key that values.yaml leaves out: the table is complete."""
    values = yaml.safe_load(VALUES.read_text())

    assert SCHEMA["properties"].keys() - {"global"} == values.keys()
