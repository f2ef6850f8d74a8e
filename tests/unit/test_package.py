"""The wheel holds the package and nothing of the service around it; its metadata claim the versions that are tested."""

import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from tests.support.documents import uv

from switchyard.routing.checks.ownership import TESTED_DJANGO_VERSIONS

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [uv(), "build", "--quiet", "--wheel", "--out-dir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
        text=True,
    )
    (wheel,) = out.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_wheel__contents(names):
    """Only switchyard and its metadata are in the wheel."""
    assert {name.split("/")[0].split("-")[0] for name in names} == {"switchyard"}


def test_wheel__templates_and_types(names):
    """The wheel holds the files that are not Python: template and style of the console, and the marker of types."""
    assert {
        "switchyard/templates/switchyard/console.html",
        "switchyard/static/switchyard/console.css",
        "switchyard/py.typed",
    } <= set(names)


def claimed(name: str) -> list[str]:
    """Return the versions that the classifiers claim, of `Python` or of `Django`."""
    found = (re.fullmatch(rf".* :: {name} :: (\d+\.\d+)", each) for each in PROJECT["classifiers"])
    return [version[1] for version in found if version]


def test_versions__claimed_and_tested() -> None:
    """The versions of the metadata, of check W006 and of the workflow's matrix are the same."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    matrix = workflow["jobs"]["package"]["strategy"]["matrix"]

    assert claimed("Python") == matrix["python"]
    assert claimed("Django") == matrix["django"]
    assert claimed("Django") == [f"{major}.{minor}" for major, minor in TESTED_DJANGO_VERSIONS]


@pytest.mark.parametrize("name", ["Python", "Django"])
def test_versions__bounds(name: str) -> None:
    """The metadata allow the versions from the first that is claimed to the last, and none after that."""
    (django,) = [each.removeprefix("django") for each in PROJECT["dependencies"] if each.startswith("django>")]
    first, last = claimed(name)[0], claimed(name)[-1]
    major, _, minor = last.partition(".")

    assert {"Python": PROJECT["requires-python"], "Django": django}[name] == f">={first},<{major}.{int(minor) + 1}"
