"""`gitops: true`: nothing is generated, and each Secret of the values is read by the pods that need it."""

import subprocess

import pytest
import yaml
from tests.chart.objects import (
    CHART,
    Object,
    RefusedError,
    Render,
    of_kind,
    pod_annotations,
    pod_specs,
    projected_files,
)
from tests.chart.secret_store import SecretStore
from tests.chart.test_modes import ONLY_DEFAULT, job, service_files

ISSUED: Object = yaml.safe_load((CHART / "ci" / "gitops-values.yaml").read_text())
EXISTING: Object = ISSUED | {
    "bundled": {"existingSecret": "switchyard-databases", "certificates": {"existingSecret": "switchyard-tls"}}
}
SERVICE_KEYS = ("secret-key", "secret-key-fallbacks", "api-token", "api-token-fallbacks")
ROLES = ("app", "migrator", "monitor", "readonly", "replicator", "superuser")
DEFAULT_KEYS = [f"default-{role}" for role in ROLES]


def rendered(helm: str, values: Object) -> bytes:
    """Return the bytes that Helm writes for these values, without a cluster."""
    command = [helm, "template", "sy", str(CHART), "--namespace", "rails", "--values", "-"]
    return subprocess.run(command, input=yaml.safe_dump(values).encode(), capture_output=True, check=True).stdout


@pytest.mark.parametrize("values", [ISSUED, EXISTING], ids=["issued", "existing"])
def test_template__twice(helm: str, values: Object) -> None:
    """Each rendering has the same bytes; without `gitops` the generated values differ."""
    assert rendered(helm, values) == rendered(helm, values)
    assert rendered(helm, {}) != rendered(helm, {})


@pytest.mark.parametrize("values", [ISSUED, EXISTING], ids=["issued", "existing"])
def test_secrets__are_not_made(render: Render, values: Object) -> None:
    """The chart makes no Secret, so each pod has the checksum of none."""
    objects = render(values)

    assert of_kind(objects, "Secret") == {}
    assert len({found.get("checksum/secrets") for found in pod_annotations(objects).values()} - {None}) == 1


def test_secrets__of_the_pods(render: Render) -> None:
    """Each pod reads its own keys of the Secrets, and no others."""
    objects = render(EXISTING)

    files = service_files(objects)
    for key in SERVICE_KEYS:
        assert files[key] == {"secret": "switchyard-service", "key": key}
    for alias, owner in {"default": "default", "replica": "default", "legacy": "legacy"}.items():
        assert files[f"databases/{alias}"] == {"secret": "switchyard-databases", "key": f"{owner}-app"}
        assert files[f"ca/{alias}.crt"] == {"secret": "switchyard-tls", "key": "ca.crt"}
    assert projected_files(job(objects, "legacy")) == {
        "databases/legacy": {"secret": "switchyard-databases", "key": "legacy-migrator"},
        "ca/legacy.crt": {"secret": "switchyard-tls", "key": "ca.crt"},
    }
    for name, pod in pod_specs(objects):
        if name.startswith("Pod/"):
            secrets = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
            assert secrets == ["switchyard-service"], name


@pytest.mark.parametrize(
    ("alias", "roles"),
    [
        ("default", ROLES),
        ("legacy", ROLES),
        ("replica", ("replicator",)),
    ],
)
def test_secrets__of_a_server(render: Render, alias: str, roles: tuple[str, ...]) -> None:
    """A server reads its certificate and the password of each of its roles; a replica that of `replicator`."""
    spec = of_kind(render(EXISTING), "StatefulSet")[f"sy-switchyard-db-{alias}"]["spec"]["template"]["spec"]
    refs = [entry["valueFrom"]["secretKeyRef"] for entry in spec["containers"][0]["env"] if "valueFrom" in entry]

    assert {(ref["name"], ref["key"]) for ref in refs} == {
        ("switchyard-databases", f"{'default' if alias == 'replica' else alias}-{role}") for role in roles
    }
    assert projected_files(spec)["tls.key"] == {"secret": "switchyard-tls", "key": "tls.key"}


def test_certificates__of_an_issuer(render: Render) -> None:
    """cert-manager gets a Certificate for each server, whose Secret the server and its clients read."""
    objects = render(ISSUED)
    certificates = of_kind(objects, "Certificate")

    assert certificates.keys() == of_kind(objects, "StatefulSet").keys()
    for name, certificate in certificates.items():
        assert certificate["spec"]["issuerRef"] == {"name": "internal", "kind": "ClusterIssuer"}
        assert {name, f"{name}.rails.svc", "localhost"} <= set(certificate["spec"]["dnsNames"])
        secret = certificate["spec"]["secretName"]
        pod = of_kind(objects, "StatefulSet")[name]["spec"]["template"]["spec"]
        assert projected_files(pod)["tls.crt"] == {"secret": secret, "key": "tls.crt"}
        alias = name.rpartition("-")[2]
        assert service_files(objects)[f"ca/{alias}.crt"] == {"secret": secret, "key": "ca.crt"}


def test_secrets__without_gitops(render: Render) -> None:
    """Each Secret of the values stands for those that the chart would make; the chart makes the others."""
    made = of_kind(render({"bundled": {"existingSecret": "passwords"}}), "Secret")

    assert made.keys() == {"sy-switchyard"} | {
        f"sy-switchyard-db-{alias}-tls" for alias in ("default", "replica", "analytics", "legacy")
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"service": {"existingSecret": ""}},
            (
                "gitops is true, so the chart generates no key and no token; set service.existingSecret to a Secret "
                "with the keys: secret-key, secret-key-fallbacks, api-token, api-token-fallbacks"
            ),
        ),
        (
            {"bundled": {"existingSecret": ""}},
            (
                "gitops is true, so the chart generates no password for default; set bundled.existingSecret to a "
                f"Secret with the keys: {', '.join(DEFAULT_KEYS)}"
            ),
        ),
        (
            {"bundled": {"certificates": {"issuerRef": None}}},
            "gitops is true, so the chart generates no certificate for default; set bundled.certificates.issuerRef",
        ),
        (
            {"bundled": {"certificates": {"existingSecret": "tls"}}},
            "bundled.certificates.issuerRef and bundled.certificates.existingSecret are both set; remove one of them",
        ),
        (
            {"bundled": {"certificates": {"issuerRef": {"name": None}}}},
            "bundled.certificates.issuerRef has no name; set bundled.certificates.issuerRef.name",
        ),
        (
            {"rotation": {"apiToken": 2}},
            'rotation.apiToken is set, and the chart does not make the Secret "switchyard-service"; remove it',
        ),
    ],
)
def test_validation__of_values(render: Render, values: Object, said: str) -> None:
    """A value that leaves something to be generated, or contradicts another, is refused with the key to set."""
    with pytest.raises(RefusedError) as refused:
        render(_merged(ISSUED | {"databases": ONLY_DEFAULT}, values))

    assert said in str(refused.value)


def _merged(values: Object, more: Object) -> Object:
    """Return values with more values on top, as Helm merges them; None removes a key."""
    merged = dict(values)
    for key, value in more.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def test_validation__without_bundled_servers(render: Render) -> None:
    """A release that runs no server needs the Secret of the service alone."""
    external = {
        "mode": "external",
        "host": "db",
        "name": "shop",
        "secret": {"name": "db"},
        "tls": {"ca": {"secret": "ca"}},
    }

    objects = render(
        {
            "gitops": True,
            "service": {"existingSecret": "switchyard-service"},
            "databases": ONLY_DEFAULT | {"default": external},
        }
    )

    assert of_kind(objects, "Secret") == {}


def test_validation__in_a_cluster(render: Render, store: SecretStore) -> None:
    """In a cluster, a Secret that is missing or lacks a key is refused by name; then the release is accepted."""
    values = EXISTING | {"databases": ONLY_DEFAULT}
    store.add("switchyard-service", **dict.fromkeys(SERVICE_KEYS, ""))
    store.add("switchyard-databases", **{"default-app": "..."})

    with pytest.raises(RefusedError) as refused:
        render(values, store=store)

    assert (
        'bundled.certificates.existingSecret names the Secret "switchyard-tls", and the namespace rails has none; '
        "create it with the keys: tls.crt, tls.key, ca.crt" in str(refused.value)
    )
    assert (
        'bundled.existingSecret names the Secret "switchyard-databases", which lacks the keys: '
        f"{', '.join(DEFAULT_KEYS[1:])}; add them" in str(refused.value)
    )
    assert "2 problem(s)" in str(refused.value)
    store.add("switchyard-tls", **dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), "..."))
    store.add("switchyard-databases", **dict.fromkeys(DEFAULT_KEYS, "..."))
    assert of_kind(render(values, store=store), "Secret") == {}
