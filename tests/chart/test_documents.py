"""The recipes of docs/chart.md and docs/cluster.md render: their values are taken and their arguments are Helm's."""

import re
import shlex
import subprocess

import pytest
import yaml
from tests.chart.objects import Render, of_kind, service_environment
from tests.support.documents import ROOT, blocks

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
