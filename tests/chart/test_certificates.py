"""Certificates of bundled servers: their names, who signed them, which pods read them, and when they are made."""

from base64 import b64decode
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.chart.objects import Object, Render, environment, of_kind, pod_specs, projected_files, service_environment
from tests.chart.secret_store import SecretStore
from tests.chart.test_modes import job, service_files

ALIASES = ("default", "replica", "analytics", "legacy")


def data(objects: list[Object], alias: str) -> dict[str, bytes]:
    """Return the data of the Secret with the certificate of an alias."""
    secret = of_kind(objects, "Secret")[f"sy-switchyard-db-{alias}-tls"]
    return {key: b64decode(value) for key, value in secret["data"].items()}


@pytest.mark.parametrize("alias", ALIASES)
def test_certificate__of_a_server(render: Render, alias: str) -> None:
    """A certificate names the Service in each form and the loopback, and its authority, key and last day fit."""
    objects = render()
    found = data(objects, alias)
    certificate, authority = (x509.load_pem_x509_certificate(found[key]) for key in ("tls.crt", "ca.crt"))

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    service = f"sy-switchyard-db-{alias}"
    assert names.get_values_for_type(x509.DNSName) == [
        service,
        f"{service}.rails",
        f"{service}.rails.svc",
        f"{service}.rails.svc.cluster.local",
        "localhost",
    ]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1")]
    certificate.verify_directly_issued_by(authority)
    assert load_pem_private_key(found["tls.key"], None).public_key() == certificate.public_key()
    metadata = of_kind(objects, "Secret")[f"{service}-tls"]["metadata"]
    last_day = certificate.not_valid_after_utc.date()
    assert metadata["annotations"]["switchyard/valid-until"] == last_day.isoformat()
    assert (last_day - certificate.not_valid_before_utc.date()).days == 3650


def test_authority__of_each_server(render: Render) -> None:
    """Each server has an authority of its own, and nothing keeps the key of an authority."""
    objects = render()

    assert len({data(objects, alias)["ca.crt"] for alias in ALIASES}) == 4
    for alias in ALIASES:
        assert data(objects, alias).keys() == {"ca.crt", "tls.crt", "tls.key"}
        key = load_pem_private_key(data(objects, alias)["tls.key"], None).public_key()
        assert key != x509.load_pem_x509_certificate(data(objects, alias)["ca.crt"]).public_key()


@pytest.mark.parametrize(
    ("alias", "tls"),
    [(alias, "sslmode=verify-full&sslrootcert") for alias in ("default", "replica", "analytics")]
    + [("legacy", "ssl_mode=VERIFY_IDENTITY&ssl_ca")],
)
def test_service__verifies(render: Render, alias: str, tls: str) -> None:
    """The service, and the Job of an owner, verify the server and its name with the authority of that server."""
    objects = render()
    query = f"?{tls}=/run/secrets/switchyard/ca/{alias}.crt"
    authority = {"secret": f"sy-switchyard-db-{alias}-tls", "key": "ca.crt"}

    assert service_environment(objects)[f"DATABASE_{alias.upper()}_URL"].endswith(query)
    assert service_files(objects)[f"ca/{alias}.crt"] == authority
    if alias != "replica":
        pod = job(objects, alias)
        assert query in environment(pod["containers"][0])[f"DATABASE_{alias.upper()}_URL"]
        assert projected_files(pod)[f"ca/{alias}.crt"] == authority


def test_servers__with_their_files(render: Render) -> None:
    """Only a server reads its key; a standby reads the authority of its primary as well."""
    readers = {
        name.removeprefix("StatefulSet/sy-switchyard-db-"): {
            path: found["secret"] for path, found in projected_files(spec).items() if found.get("key") == "tls.key"
        }
        for name, spec in pod_specs(render())
    }
    assert {name: files for name, files in readers.items() if files} == {
        alias: {"tls.key": f"sy-switchyard-db-{alias}-tls"} for alias in ALIASES
    }
    standby = of_kind(render(), "StatefulSet")["sy-switchyard-db-replica"]["spec"]["template"]["spec"]
    assert projected_files(standby)["primary.crt"] == {"secret": "sy-switchyard-db-default-tls", "key": "ca.crt"}


def test_mysql__in_plain_text(render: Render) -> None:
    """A MySQL server refuses a connection over TCP without TLS."""
    server = of_kind(render(), "StatefulSet")["sy-switchyard-db-legacy"]["spec"]["template"]["spec"]["containers"][0]

    assert "--require-secure-transport=ON" in server["args"]


def test_upgrade__of_a_release_without_certificates(render: Render, store: SecretStore) -> None:
    """An upgrade makes the certificates that are missing and keeps every password; the next upgrade changes nothing."""
    store.apply(render(store=store))
    for alias in ALIASES:
        del store.secrets[f"sy-switchyard-db-{alias}-tls"]
    before = {name: secret["data"] for name, secret in store.secrets.items()}

    upgraded = render(store=store)
    store.apply(upgraded)

    after = {name: secret["data"] for name, secret in of_kind(upgraded, "Secret").items()}
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {f"sy-switchyard-db-{alias}-tls" for alias in ALIASES}
    assert render(store=store) == upgraded


def test_upgrade__with_an_alias_more(render: Render, store: SecretStore) -> None:
    """A new alias gets a certificate; those of the others stay."""
    store.apply(render(store=store))

    more = render({"databases": {"far": {"replicaOf": "default"}}}, store=store)

    assert data(more, "far").keys() == {"ca.crt", "tls.crt", "tls.key"}
    for alias in ALIASES:
        assert (
            of_kind(more, "Secret")[f"sy-switchyard-db-{alias}-tls"]["data"]
            == (store.secrets[f"sy-switchyard-db-{alias}-tls"]["data"])
        )
