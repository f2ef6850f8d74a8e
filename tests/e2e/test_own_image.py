"""The image of another Django project on the chart: docs/examples/shop, in a namespace of its own."""

import shutil
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.e2e.cluster import ROOT, Cluster, Key, queries, run
from tests.e2e.second import SecondRelease
from tests.support.documents import uv

pytestmark = pytest.mark.cluster

TABLES = {"catalog_product", "visits_visit"}


class Shop(SecondRelease):
    """The release of the shop."""

    def counted(self) -> Counter[Key]:
        """Return the queries by alias and operation."""
        return queries(self.get("GET", "http://localhost:9464/metrics"))

    def tables(self, alias: str, command: str) -> set[str]:
        """Return the tables of an alias, from a client inside its server."""
        return set(self.kubectl("exec", f"{self.fullname}-db-{alias}-0", "--", "bash", "-c", command).split())


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
    found = Shop(cluster, "shop", port=80)
    values = ("--values", str(ROOT / "docs" / "examples" / "shop" / "values.yaml"))
    tag = ("--set-string", f"image.tag={image.partition(':')[2]}")
    with found.namespace():
        found.helm("install", found.name, str(cluster.source / "chart"), *values, *tag, "--set", "replicaCount=1")
        found.served()
        yield found


def test_jobs__of_the_shop(shop: Shop) -> None:
    """Each owner has a Job, which ran with the image of the shop and made the tables of its own app."""
    jobs = shop.jobs()
    postgres = "psql --username=postgres -At switchyard --command 'SELECT relname FROM pg_stat_user_tables'"
    mysql = "MYSQL_PWD=$APP_PASSWORD mysql --host=127.0.0.1 --user=app -N -e 'SHOW TABLES' $MYSQL_DATABASE"

    assert {alias: job["status"].get("succeeded") for alias, job in jobs.items()} == {"default": 1, "visits": 1}
    images = {job["spec"]["template"]["spec"]["containers"][0]["image"] for job in jobs.values()}
    assert {image.partition(":")[0] for image in images} == {"shop"}
    assert shop.tables("default", postgres) & TABLES == {"catalog_product"}
    assert shop.tables("visits", mysql) & TABLES == {"visits_visit"}


def test_queries__of_the_shop(shop: Shop) -> None:
    """The queries of its requests are counted on the alias of each app, and nowhere else."""
    before = shop.counted()

    key = shop.call("POST", "/products", {"name": "lamp", "price_cents": 4900})["id"]
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
