"""The wheel holds the package and nothing of the service around it."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [os.environ.get("UV", "uv"), "build", "--quiet", "--wheel", "--out-dir", str(out), str(ROOT)],
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
