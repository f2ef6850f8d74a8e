"""The wheel holds the package and nothing of the service around it; its metadata claim the versions that are tested."""

import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
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
    """The wheel holds the files that are not Python: what the console needs, with licences, and the marker of types."""
    assert {
        "switchyard/templates/switchyard/console.html",
        "switchyard/templates/switchyard/console/_drawing.html",
        "switchyard/static/switchyard/console/page.css",
        "switchyard/static/switchyard/console/live.js",
        "switchyard/static/switchyard/vendor/uplot-1.6.32.min.js",
        "switchyard/static/switchyard/vendor/uplot-LICENSE.txt",
        "switchyard/static/switchyard/vendor/idiomorph-LICENSE.txt",
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


def django() -> SpecifierSet:
    """Return the versions of Django that the metadata allow."""
    (bounds,) = [each.removeprefix("django") for each in PROJECT["dependencies"] if each.startswith("django>")]
    return SpecifierSet(bounds)


@pytest.mark.parametrize("name", ["Python", "Django"])
def test_versions__bounds(name: str) -> None:
    """The metadata allow the versions from the first that is claimed to the last, and none after that."""
    allowed = {"Python": SpecifierSet(PROJECT["requires-python"]), "Django": django()}[name]
    major, _, minor = claimed(name)[-1].partition(".")

    assert [version for version in claimed(name) if f"{version}.99" not in allowed] == []
    assert f"{major}.{int(minor) + 1}" not in allowed


@pytest.mark.parametrize("version", ["5.2", "5.2.18", "6.0", "6.0.9", "6.1", "6.1.2"])
def test_versions__of_django_with_published_holes(version: str) -> None:
    """The metadata do not allow a release that a security release has followed."""
    assert version not in django()
