"""The chart as Helm renders it, by each Helm on the PATH."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.chart.objects import CHART, Object, RefusedError, Render

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
    """Return a function that renders the chart with the values it is given, on top of the chart's own."""

    def rendered(values: Object | None = None, *, release: str = "sy", chart: Path = CHART) -> list[Object]:
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps(values or {}))
        result = subprocess.run(
            [helm, "template", release, str(chart), "--namespace", "rails", "--values", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RefusedError(result.stderr)
        return [document for document in yaml.safe_load_all(result.stdout) if document]

    return rendered


@pytest.fixture
def chart_copy(tmp_path: Path) -> Path:
    """Return a copy of the chart that a test may change."""
    return Path(shutil.copytree(CHART, tmp_path / "switchyard"))
