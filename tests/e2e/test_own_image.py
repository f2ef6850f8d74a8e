"""The image of another Django project on the chart: docs/examples/shop, in a namespace of its own."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.e2e.cluster import ROOT, Cluster, Key, queries, run
from tests.support.documents import uv

pytestmark = pytest.mark.cluster

NAMESPACE = RELEASE = "shop"
NAME = f"{RELEASE}-switchyard"
TABLES = {"catalog_product", "visits_visit"}
CALL = (
    "import sys, urllib.request as u;"
    "data = sys.argv[3].encode() if len(sys.argv) > 3 else None;"
    "print(u.urlopen(u.Request(sys.argv[2], method=sys.argv[1], data=data), timeout=30).read().decode())"
)


@dataclass(frozen=True)
class Shop:
    """The release of the shop, seen from inside its pod."""

    cluster: Cluster

    def kubectl(self, *arguments: str, timeout: float = 120) -> str:
        """Return the output of kubectl."""
        config = ("--kubeconfig", self.cluster.kubeconfig)
        return run("kubectl", *config, "--namespace", NAMESPACE, *arguments, timeout=timeout)

    def get(self, method: str, url: str, *body: str) -> str:
        """Return the answer to a request from the pod of the shop."""
        inside = ("exec", f"deployment/{NAME}", "--container", "service", "--")
        return self.kubectl(*inside, "python", "-c", CALL, method, url, *body)

    def call(self, method: str, path: str, *body: str) -> Any:
        """Return the document that the shop answers through its Kubernetes Service."""
        return json.loads(self.get(method, f"http://{NAME}{path}", *body))

    def counted(self) -> Counter[Key]:
        """Return the queries by alias and operation."""
        return queries(self.get("GET", "http://localhost:9464/metrics"))

    def tables(self, alias: str, command: str) -> set[str]:
        """Return the tables of an alias, from a client inside its server."""
        return set(self.kubectl("exec", f"{NAME}-db-{alias}-0", "--", "bash", "-c", command).split())


@pytest.fixture(scope="module")
def image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, built as the README of the project says, and loaded into the cluster; named by its content."""
    project = tmp_path_factory.mktemp("image") / "shop"
    shutil.copytree(ROOT / "docs" / "examples" / "shop", project, ignore=shutil.ignore_patterns("*.whl", "*.sqlite3*"))
    run(uv(), "build", "--quiet", "--wheel", "--out-dir", project, ROOT)
    built = run("docker", "build", "--quiet", project, timeout=900).strip()
    name = f"shop:{built.removeprefix('sha256:')[:12]}"
    run("docker", "tag", built, name)
    run("kind", "load", "docker-image", "--name", cluster.name, name, timeout=300)
    return name


@pytest.fixture(scope="module")
def shop(cluster: Cluster, image: str) -> Iterator[Shop]:
    """The release of the shop, in a namespace that enforces the restricted Pod Security Standard."""
    found = Shop(cluster)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    run("kubectl", "--kubeconfig", cluster.kubeconfig, "apply", "--filename=-", stdin=json.dumps(manifest))
    try:
        helm = ("helm", "--kubeconfig", cluster.kubeconfig, "--namespace", NAMESPACE)
        values = ("--values", ROOT / "docs" / "examples" / "shop" / "values.yaml")
        tag = f"image.tag={image.partition(':')[2]}"
        run(
            *helm, "install", RELEASE, cluster.source / "chart", *values, "--set-string", tag, "--set", "replicaCount=1"
        )
        found.kubectl("wait", "--for=condition=complete", "jobs", "--all", "--timeout=300s", timeout=310)
        found.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=180s", timeout=190)
        yield found
    finally:
        run("kubectl", "--kubeconfig", cluster.kubeconfig, "delete", "namespace", NAMESPACE, timeout=300)


def test_jobs__of_the_shop(shop: Shop) -> None:
    """Each owner has a Job, which ran with the image of the shop and made the tables of its own app."""
    jobs = json.loads(shop.kubectl("get", "jobs", "--output", "json"))["items"]
    postgres = "psql --username=postgres -At switchyard --command 'SELECT relname FROM pg_stat_user_tables'"
    mysql = "MYSQL_PWD=$APP_PASSWORD mysql --host=127.0.0.1 --user=app -N -e 'SHOW TABLES' $MYSQL_DATABASE"

    assert {job["metadata"]["labels"]["switchyard/alias"]: job["status"].get("succeeded") for job in jobs} == {
        "default": 1,
        "visits": 1,
    }
    assert {job["spec"]["template"]["spec"]["containers"][0]["image"].partition(":")[0] for job in jobs} == {"shop"}
    assert shop.tables("default", postgres) & TABLES == {"catalog_product"}
    assert shop.tables("visits", mysql) & TABLES == {"visits_visit"}


def test_queries__of_the_shop(shop: Shop) -> None:
    """The queries of its requests are counted on the alias of each app, and nowhere else."""
    before = shop.counted()

    key = shop.call("POST", "/products", json.dumps({"name": "lamp", "price_cents": 4900}))["id"]
    page = shop.call("GET", f"/products/{key}")

    assert page == {"name": "lamp", "visits": 1}
    assert shop.counted() - before == {
        ("default", "write"): 1,
        ("default", "read"): 1,
        ("visits", "write"): 1,
        ("visits", "read"): 1,
    }


def test_health__of_the_shop(shop: Shop) -> None:
    """The pod is ready by the paths of the package, which see both owners."""
    assert shop.call("GET", "/readyz") == {"status": "ok", "aliases": {"default": "up", "visits": "up"}}
