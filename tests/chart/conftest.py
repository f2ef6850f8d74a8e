"""The chart as Helm renders it, by each Helm on the PATH."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.chart.objects import CHART, Object, RefusedError, Render
from tests.chart.secret_store import SecretStore, secret_store

HELMS: list[str | None] = [helm for helm in ("helm", "helm3") if shutil.which(helm)] or [None]


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    """Return the name of one of the Helms."""
    if request.param is None:
        pytest.skip("helm is not installed")
    name: str = request.param
    return name


@pytest.fixture
def render(helm: str, tmp_path: Path) -> Render:
    """Return a function that renders the chart with values on top of its own, and with arguments of Helm."""

    def rendered(
        values: Object | None = None,
        *arguments: str,
        release: str = "sy",
        chart: Path = CHART,
        store: SecretStore | None = None,
    ) -> list[Object]:
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps(values or {}))
        server = (
            ["--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", store.address] if store else []
        )
        result = subprocess.run(
            [helm, "template", release, str(chart), "--namespace", "rails", "--values", str(file), *server, *arguments],
            env={**os.environ, "KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RefusedError(result.stderr)
        return [document for document in yaml.safe_load_all(result.stdout) if document]

    return rendered


@pytest.fixture
def store() -> Iterator[SecretStore]:
    """The Secrets of a cluster, for `render(..., store=store)`."""
    with secret_store() as served:
        yield served


@pytest.fixture
def chart_copy(tmp_path: Path) -> Path:
    """Return a copy of the chart that a test may change."""
    return Path(shutil.copytree(CHART, tmp_path / "switchyard"))
