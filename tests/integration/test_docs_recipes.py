"""The recipes of docs/ work as printed: a test writes their files and runs their commands, with the package's wheel."""

import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.documents import ROOT, Ran, files, follow, uv

OWN_PROJECT = (ROOT / "docs" / "own-project.md").read_text()
OWN_TESTS = (ROOT / "docs" / "own-tests.md").read_text()
CROSS_DATABASE = (ROOT / "docs" / "cross-database.md").read_text()
NOT_RUN = {
    "Install",  # test_package.py builds the wheel; pip would compile drivers
    "Metrics",  # serves until it is stopped, in a directory of the system
}
OURS = re.compile(r"DATABASE|DJANGO_|SECRET_KEY|API_TOKEN|METRICS_|DATA_DIR|PYTEST|COV")


@dataclass(frozen=True)
class Project:
    """A project that a page describes: its directory, its environment and the commands of the page."""

    directory: Path
    environ: dict[str, str]
    ran: list[Ran]

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run code in the project, with Django set up."""
        path = f"{self.environ['PYTHONPATH']}{os.pathsep}{self.directory}"
        return subprocess.run(
            [sys.executable, "-c", f"import django; django.setup()\n{code}"],
            cwd=self.directory,
            env={**self.environ, "DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package from its wheel, without the service."""
    built, installed = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site-packages")
    build = (uv(), "build", "--quiet", "--wheel", "--out-dir", str(built), str(ROOT))
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    return installed


@pytest.fixture(scope="module")
def project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of docs/own-project.md."""
    directory = tmp_path_factory.mktemp("own")
    scripts = Path(sys.executable).parent
    inherited = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    environ = inherited | {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(package), "COLUMNS": "120"}
    return Project(directory, environ, list(follow(OWN_PROJECT, directory, environ, leave_out=NOT_RUN)))


@pytest.fixture(scope="module")
def own_tests(project: Project) -> list[Ran]:
    """The commands of docs/own-tests.md, run in that project."""
    return list(follow(OWN_TESTS, project.directory, project.environ))


def test_own_project__commands(project: Project) -> None:
    """Each command of docs/own-project.md prints the output on the page."""
    assert len(project.ran) > 8
    assert [str(ran) for ran in project.ran if not ran.as_shown] == []


def test_cross_database__commands(project: Project) -> None:
    """The example of docs/cross-database.md prints the output on the page, in that project."""
    (ran,) = follow(CROSS_DATABASE, project.directory, project.environ)

    assert ran.as_shown, str(ran)


@pytest.mark.parametrize("path", sorted({path for path in files(OWN_PROJECT) if path.startswith("mysite/")}))
def test_own_project__files(project: Project, path: str) -> None:
    """Each module of docs/own-project.md that no command loads can be imported in the project."""
    imported = project.python(f"import {path.removesuffix('.py').replace('/', '.')}")

    assert imported.returncode == 0, imported.stderr


@pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/readyz", 200), ("/console/", 302)])
def test_own_project__urls(project: Project, path: str, status: int) -> None:
    """The project answers on the paths of the page; the console requires a sign-in."""
    client = "from django.test import Client\nclient = Client(headers={'host': 'localhost'})"
    answered = project.python(f"{client}\nprint(client.get('{path}').status_code)")

    assert answered.stdout == f"{status}\n", answered.stderr


def test_own_project__installed_hooks(project: Project) -> None:
    """The dotted paths in the settings that Django imports late can be imported."""
    loaded = project.python(
        "from django.contrib.auth import get_backends\nfrom django.tasks import default_task_backend as backend\n"
        "print(type(get_backends()[0]).__name__, backend.alias)"
    )

    assert loaded.stdout == "PrimaryModelBackend default\n", loaded.stderr


def test_own_tests__commands(own_tests: list[Ran]) -> None:
    """Each test run of docs/own-tests.md passes, with Django's runner and with pytest."""
    assert len(own_tests) > 3
    assert [str(ran) for ran in own_tests if not ran.as_shown] == []
