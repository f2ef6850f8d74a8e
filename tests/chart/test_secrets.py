"""Secrets over upgrades: found again, rolled on demand, and read again by the pods that depend on them."""

from base64 import b64decode, b64encode

import pytest
from tests.chart.objects import Object, Render, containers, of_kind, pod_annotations, pod_specs
from tests.chart.secret_store import SecretStore

SERVICE, APP = "sy-switchyard", "sy-switchyard-db-default-app"
# The Deployments whose pods have the password of the service's user on every database.
CLIENTS = {"Deployment/sy-switchyard", "Deployment/sy-switchyard-crossdb-worker"}


def values_of(objects: list[Object], name: str) -> dict[str, str]:
    """Return the values of a Secret in clear."""
    return {key: b64decode(value).decode() for key, value in of_kind(objects, "Secret")[name]["data"].items()}


def checksums(objects: list[Object]) -> dict[str, str]:
    """Return the checksum of the Secrets that each pod reads, by the name of the pod's object."""
    found = {name: annotations.get("checksum/secrets", "") for name, annotations in pod_annotations(objects).items()}
    return {name: checksum for name, checksum in found.items() if checksum}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return the short names of the objects whose pods start again."""
    assert before.keys() == after.keys()
    return {name.removeprefix("StatefulSet/sy-switchyard-db-") for name in before if before[name] != after[name]}


@pytest.fixture
def installed(render: Render, store: SecretStore) -> list[Object]:
    """The objects of an install, whose Secrets are in the cluster."""
    objects = render(store=store)
    store.apply(objects)
    return objects


def test_upgrade__without_a_change(render: Render, store: SecretStore, installed: list[Object]) -> None:
    """Each Secret is found again, and no pod starts again."""
    assert render(store=store) == installed


def test_install__key_and_token(installed: list[Object]) -> None:
    """The service gets a key and a token that it accepts, and no earlier ones."""
    values = values_of(installed, SERVICE)

    assert (len(values["secret-key"]), len(values["api-token"])) == (64, 64)
    assert (values["secret-key-fallbacks"], values["api-token-fallbacks"]) == ("", "")


@pytest.mark.parametrize(
    ("value", "key", "other"), [("secretKey", "secret-key", "api-token"), ("apiToken", "api-token", "secret-key")]
)
def test_upgrade__rolls_one(  # noqa: PLR0917 - fixtures and parameters
    render: Render, store: SecretStore, installed: list[Object], value: str, key: str, other: str
) -> None:
    """Another number makes a new value, keeps the old one as fallback, and starts both Deployments again, once."""
    before = values_of(installed, SERVICE)
    rolled = render({"rotation": {value: 2}}, store=store)
    after = values_of(rolled, SERVICE)
    store.apply(rolled)

    assert after[key] != before[key]
    assert after[f"{key}-fallbacks"] == before[key]
    assert {name: after[name] for name in (other, f"{other}-fallbacks")} == {
        other: before[other],
        f"{other}-fallbacks": "",
    }
    assert changed(checksums(installed), checksums(rolled)) == CLIENTS
    assert render({"rotation": {value: 2}}, store=store) == rolled


def test_upgrade__of_a_short_key(render: Render, store: SecretStore, installed: list[Object]) -> None:
    """A key that an earlier chart made too short is replaced, and stays accepted."""
    data = store.secrets[SERVICE]["data"]
    data["secret-key"] = b64encode(b"k" * 48).decode()
    del data["secret-key-fallbacks"]
    del store.secrets[SERVICE]["metadata"]["annotations"]["switchyard/secret-key-rotation"]

    values = values_of(render(store=store), SERVICE)

    assert (len(values["secret-key"]), values["secret-key-fallbacks"]) == (64, "k" * 48)
    assert values["api-token"] == values_of(installed, SERVICE)["api-token"]


@pytest.mark.parametrize(
    ("secret", "key", "restarted"),
    [
        (SERVICE, "api-token", CLIENTS),
        (SERVICE, "secret-key-fallbacks", CLIENTS),
        (APP, "password", CLIENTS | {"default"}),
        ("sy-switchyard-db-legacy-app", "password", CLIENTS | {"legacy"}),
        ("sy-switchyard-db-analytics-migrator", "password", {"analytics"}),
        ("sy-switchyard-db-default-server", "replicator", {"default", "replica"}),
        ("sy-switchyard-db-default-tls", "tls.crt", CLIENTS | {"default", "replica"}),
        ("sy-switchyard-db-replica-tls", "tls.crt", CLIENTS | {"replica"}),
        ("sy-switchyard-db-legacy-server", "replicator", {"legacy"}),
    ],
)
def test_upgrade__after_a_change_by_hand(  # noqa: PLR0917 - fixtures and parameters
    render: Render, store: SecretStore, installed: list[Object], secret: str, key: str, restarted: set[str]
) -> None:
    """A value that was changed in its Secret stays, and exactly the pods that read it start again."""
    store.secrets[secret]["data"][key] = b64encode(b"another-value-of-thirty-two-characters").decode()

    upgraded = render(store=store)

    assert values_of(upgraded, secret)[key] == "another-value-of-thirty-two-characters"
    assert changed(checksums(installed), checksums(upgraded)) == restarted


def test_jobs__after_a_change_by_hand(render: Render, store: SecretStore, installed: list[Object]) -> None:
    """A changed password makes no new migration Job: nothing that a migration depends on has changed."""
    store.secrets["sy-switchyard-db-default-migrator"]["data"]["password"] = b64encode(b"another").decode()

    assert of_kind(render(store=store), "Job").keys() == of_kind(installed, "Job").keys()


def test_volumes__in_memory_or_on_the_node(render: Render) -> None:
    """Each volume that a pod may fill has a limit."""
    for name, spec in pod_specs(render()):
        for volume in spec["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"].get("sizeLimit"), (name, volume)


def test_mounts__of_the_counters(render: Render) -> None:
    """The container that serves the metrics cannot write the counters that it reads."""
    specs = [spec for name, spec in pod_specs(render()) if name in CLIENTS]
    mounts = {
        (container["name"], mount.get("readOnly", False))
        for spec in specs
        for container in containers(spec)
        for mount in container["volumeMounts"]
        if mount["name"] == "metrics"
    }

    assert mounts == {("gate", False), ("service", False), ("worker", False), ("metrics", True)}


def test_servers__without_trust_over_tcp(render: Render) -> None:
    """No PostgreSQL server lets a TCP client in without TLS and a password, the pod's own loopback included."""
    objects = render()
    scripts = of_kind(objects, "ConfigMap")["sy-switchyard-scripts"]["data"]
    rules = [line.split() for line in scripts["pg_hba.conf"].splitlines() if not line.startswith("#")]

    assert {(rule[0], rule[-1]) for rule in rules if rule[0] != "local"} == {("hostssl", "scram-sha-256")}
    for name, found in of_kind(objects, "StatefulSet").items():
        (server,) = found["spec"]["template"]["spec"]["containers"]
        if "postgres" in server["image"]:
            assert "--hba_file=/scripts/pg_hba.conf" in server["args"], name
