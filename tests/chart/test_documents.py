"""The recipes of docs/chart.md, docs/cluster.md and docs/examples render: their values and arguments are Helm's."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.chart.objects import Render, of_kind, service_environment
from tests.chart.test_databases import told
from tests.support.documents import ROOT, blocks

EXAMPLE = ROOT / "docs" / "examples" / "cloudnativepg"
VALUES = [block.text for block in blocks((ROOT / "docs" / "chart.md").read_text()) if block.language == "yaml"]
INSTALL = re.findall(r"^helm upgrade --install (.+)$", (ROOT / "docs" / "cluster.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("values", VALUES)
def test_chart_page__values(render: Render, values: str) -> None:
    """Each recipe renders. The service is told of each alias but those it removes; a bundled one has a server."""
    given = yaml.safe_load(values)
    databases = given.get("databases", {})
    objects = render(given)

    kept = {alias for alias, given in databases.items() if given.get("enabled", True)}
    assert {f"DATABASE_{alias.upper()}_URL" for alias in kept} <= service_environment(objects).keys()
    if not {given.get("mode") for given in databases.values()} - {None}:
        assert {f"sy-switchyard-db-{alias}" for alias in kept} <= of_kind(objects, "StatefulSet").keys()


def test_chart_page__recipes() -> None:
    """The page has a recipe for a replica, for an owner and for each mode: the test above is not empty."""
    entries = [entry for values in VALUES for entry in yaml.safe_load(values).get("databases", {}).values()]

    assert {"replicaOf", "engine"} <= {key for entry in entries for key in entry}
    assert {"external", "cloudnativepg"} <= {entry.get("mode") for entry in entries}


@pytest.mark.parametrize("arguments", INSTALL)
def test_cluster_page__install(helm: str, arguments: str) -> None:
    """The page's arguments of `helm upgrade --install` render the image that they name."""
    ran = subprocess.run(
        [helm, "template", *shlex.split(arguments)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "image: registry.example.com/switchyard:0.1.0" in ran.stdout


def test_cluster_page__commands() -> None:
    """The page installs the chart by hand: the test above is not empty."""
    assert len(INSTALL) == 1


@pytest.mark.parametrize(
    ("files", "hosts"),
    [
        (("values.yaml",), {"default": "accounts-rw", "replica": "accounts-ro"}),
        (("values.yaml", "values-poolers.yaml"), {"default": "accounts-pooler-rw", "replica": "accounts-ro"}),
    ],
)
def test_cloudnativepg_example(render: Render, files: tuple[str, ...], hosts: dict[str, str], tmp_path: Path) -> None:
    """The values lead to the Services of the Cluster and of the poolers beside them, whose certificate names both."""
    objects = [each for path in EXAMPLE.glob("[cp]*.yaml") for each in yaml.safe_load_all(path.read_text())]
    values = [yaml.safe_load((EXAMPLE / file).read_text())["databases"] for file in files]
    merged = {
        alias: {key: value for each in values for key, value in each.get(alias, {}).items()} for alias in values[0]
    }

    found = told(render({"databases": merged}), tmp_path).databases
    (cluster,) = [each for each in objects if each["kind"] == "Cluster"]
    poolers = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "Pooler"}

    assert {alias: database["HOST"] for alias, database in found.items()} == hosts
    assert set(hosts.values()) <= {"accounts-rw", "accounts-ro", *poolers}
    assert set(cluster["spec"]["certificates"]["serverAltDNSNames"]) == poolers.keys()
    assert {spec["pgbouncer"]["poolMode"] for spec in poolers.values()} == {"transaction"}
