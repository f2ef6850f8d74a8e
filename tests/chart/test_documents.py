"""The recipes of docs/chart.md and docs/cluster.md render: their values are taken and their arguments are Helm's."""

import re
import shlex
import subprocess

import pytest
import yaml
from tests.chart.objects import Render, of_kind
from tests.support.documents import ROOT, blocks

VALUES = [block.text for block in blocks((ROOT / "docs" / "chart.md").read_text()) if block.language == "yaml"]
INSTALL = re.findall(r"^helm upgrade --install (.+)$", (ROOT / "docs" / "cluster.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("values", VALUES)
def test_chart_page__values(render: Render, values: str) -> None:
    """Each recipe renders; a recipe for an alias makes the server of that alias."""
    given = yaml.safe_load(values)

    servers = of_kind(render(given), "StatefulSet")

    assert {f"sy-switchyard-db-{alias}" for alias in given.get("databases", {})} <= servers.keys()


def test_chart_page__recipes() -> None:
    """The page has a recipe for a replica and a recipe for an owner: the test above is not empty."""
    entries = [entry for values in VALUES for entry in yaml.safe_load(values).get("databases", {}).values()]

    assert {"replicaOf", "engine"} <= {key for entry in entries for key in entry}


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
