"""The package of the chart, as `make chart-package` makes it."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml
from tests.chart.objects import CHART, Render
from tests.support.documents import ROOT


@pytest.fixture
def package(helm: str, tmp_path: Path) -> Path:
    """Return the file that the target makes with one of the Helms."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "helm").symlink_to(str(shutil.which(helm)))
    shutil.copytree(CHART, tmp_path / "chart")
    shutil.copy(ROOT / "Makefile", tmp_path)
    subprocess.run(
        ["make", "--no-print-directory", "chart-package"],
        cwd=tmp_path,
        env={"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    (made,) = (tmp_path / "dist").iterdir()
    return made


def test_package__renders_as_the_chart(package: Path, render: Render) -> None:
    """It holds the templates, scripts and schema, and nothing of the tests; it renders what the directory renders."""
    with tarfile.open(package) as archive:
        names = {name.removeprefix("switchyard/") for name in archive.getnames()}
    kinds = [(each["kind"], each["metadata"]["name"]) for each in render()]

    assert {"Chart.yaml", "values.yaml", "values.schema.json", "files/postgres.sh"} <= names
    assert not any(name.startswith("ci/") for name in names)
    assert [(each["kind"], each["metadata"]["name"]) for each in render(chart=package)] == kinds


def test_annotations__images() -> None:
    """The images that the chart's page shows are those of the values."""
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    shown = {each["image"] for each in yaml.safe_load(annotations["artifacthub.io/images"])}
    bundled = yaml.safe_load((CHART / "values.yaml").read_text())["bundled"]

    assert shown == {bundled[engine]["image"] for engine in ("postgresql", "mysql")}
