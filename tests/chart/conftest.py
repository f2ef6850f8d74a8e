"""The chart as Helm renders it, by each Helm on the PATH."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
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


@cache
def _template(helm: str, values: str, home: Path, arguments: tuple[str, ...]) -> str:
    """Return what Helm renders. Raises RefusedError."""
    result = subprocess.run(
        [helm, "template", "--namespace", "rails", "--values", "-", *arguments],
        env={**os.environ, "KUBECONFIG": str(home / "none"), "HOME": str(home)},
        input=values,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RefusedError(result.stderr)
    return result.stdout


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home directory for Helm."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def render(helm: str, home: Path) -> Render:
    """Return a function that renders the chart with values on top of its own, and with arguments of Helm."""

    def rendered(
        values: Object | None = None,
        *arguments: str,
        release: str = "sy",
        chart: Path = CHART,
        store: SecretStore | None = None,
    ) -> list[Object]:
        server = (
            ["--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", store.address] if store else []
        )
        # A test may change its copy of the chart and its Secrets between two calls.
        template = _template if chart == CHART and store is None else _template.__wrapped__
        text = template(helm, json.dumps(values or {}), home, (release, str(chart), *server, *arguments))
        return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]

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
