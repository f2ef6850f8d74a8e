"""Two lines in the settings of somebody's project count its queries, whatever runs the project. No router is needed.

Each test runs a project that knows nothing else of Switchyard, lets it make a known number of queries, and reads the
number from the exporter.
"""

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.documents import ROOT, blocks
from tests.support.exporter import Exporter, exporting
from tests.support.service import APP, free_port
from tests.support.waiting import until

SECTION = "Count a project's queries with two lines"
ROUNDS = 6
URLS = """
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.urls import path

def users(request):
    return HttpResponse(User.objects.count())

async def users_async(request):
    return HttpResponse(await User.objects.acount())

urlpatterns = [path("users", users), path("users-async", users_async)]
"""
CELERY = """
import os
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
app = Celery("mysite", broker="filesystem://", set_as_current=True)
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}

@app.task
def count_users():
    from django.contrib.auth.models import User

    return User.objects.count()
"""
SEND = f"from mysite.celery import count_users\nfor _ in range({ROUNDS}): count_users.delay()"
LOCAL = re.compile(r"DATABASE_|DJANGO_|SECRET_KEY|API_TOKEN|METRICS_|DATA_DIR|PYTEST|COV")
PYTHON, MODULE = sys.executable, (sys.executable, "-m")
WEB = {
    "runserver": (PYTHON, "manage.py", "runserver", "--noreload", "{address}"),
    "gunicorn": (*MODULE, "gunicorn", "mysite.wsgi", "--workers", "2", "--bind", "{address}"),
    "gunicorn, preloaded": (*MODULE, "gunicorn", "mysite.wsgi", "--workers", "2", "--preload", "--bind", "{address}"),
    "gunicorn, ASGI": (*MODULE, "gunicorn", "mysite.asgi", "-k", "asgi", "--workers", "2", "--bind", "{address}"),
    "uvicorn": (*MODULE, "uvicorn", "mysite.asgi:application", "--host", "127.0.0.1", "--port", "{port}"),
    "uvicorn, workers": (
        *(*MODULE, "uvicorn", "mysite.asgi:application", "--workers", "2"),
        *("--host", "127.0.0.1", "--port", "{port}"),
    ),
}
POOLS = ("solo", "prefork", "threads")


@dataclass(frozen=True)
class Project:
    """A project of somebody else, with the two lines at the end of its settings."""

    directory: Path
    environ: dict[str, str]
    exporter: Exporter

    def counted(self) -> int:
        """Return the number of queries on its users that /metrics shows."""
        samples = self.exporter.scrape().samples("switchyard_queries_total")
        return int(sum(value for labels, value in samples if labels["app"] == "auth" and labels["operation"] == "read"))

    def run(self, *command: str) -> None:
        """Run a command in the project, and wait for its end."""
        subprocess.run(command, cwd=self.directory, env=self.environ, check=True, capture_output=True, timeout=120)

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a server or worker of the project in this block."""
        with (self.directory / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.directory, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def two_lines() -> str:
    """Return the lines for the settings, as docs/metrics.md has them."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    return next(block.text for block in blocks(page) if block.section == SECTION and block.language == "python")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A new project of Django, migrated, with the two lines; and the exporter beside it."""
    directory, metrics = tmp_path / "project", tmp_path / "metrics"
    for name in ("project/queue", "project/control", "metrics"):
        (tmp_path / name).mkdir(parents=True)
    inherited = {name: value for name, value in os.environ.items() if not LOCAL.match(name)}
    environ = {**inherited, "PYTHONPATH": f"{APP}{os.pathsep}{directory}"}
    subprocess.run([*MODULE, "django", "startproject", "mysite", "."], cwd=directory, env=environ, check=True)
    with (directory / "mysite" / "settings.py").open("a") as settings:
        settings.write(two_lines().replace("/run/switchyard", str(metrics)))
    (directory / "mysite" / "urls.py").write_text(URLS)
    (directory / "mysite" / "celery.py").write_text(CELERY)
    with exporting(metrics) as exporter:
        made = Project(directory, environ, exporter)
        made.run(PYTHON, "manage.py", "migrate")
        yield made


def answers(url: str) -> bool:
    """Return True if a server answers at the URL."""
    try:
        with urllib.request.urlopen(url, timeout=30):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def test_two_lines__are_two() -> None:
    """The page has two lines for the settings, beside comments."""
    assert len([line for line in two_lines().splitlines() if line and not line.startswith("#")]) == 2


@pytest.mark.parametrize("name", WEB)
def test_web__server(project: Project, name: str) -> None:
    """Each query of each worker is counted, of sync and of async views."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [part.format(address=f"127.0.0.1:{port}", port=port) for part in WEB[name]]
    before = project.counted()
    with project.running(*command):
        until(lambda: answers(f"{url}/nothing"), f"{name} answers")
        for number in range(ROUNDS):
            with urllib.request.urlopen(f"{url}/{('users', 'users-async')[number % 2]}", timeout=30) as response:
                assert response.status == 200
        counted = project.counted() - before

    assert counted == ROUNDS
    assert project.counted() - before == ROUNDS


@pytest.mark.parametrize("pool", POOLS)
def test_celery__worker(project: Project, pool: str) -> None:
    """Each query of a worker's tasks is counted, also in the processes that a worker forks."""
    before = project.counted()
    project.run(PYTHON, "-c", SEND)
    with project.running(*MODULE, "celery", "-A", "mysite", "worker", "--pool", pool, "--concurrency", "2"):
        until(lambda: project.counted() - before >= ROUNDS, "the tasks have run")

    assert project.counted() - before == ROUNDS


def test_command__of_a_task_worker(project: Project) -> None:
    """A command of manage.py, as a worker of `django.tasks` is one, counts its queries."""
    before = project.counted()
    code = f"from django.contrib.auth.models import User\nfor _ in range({ROUNDS}): User.objects.count()"
    project.run(PYTHON, "manage.py", "shell", "--no-imports", "-c", code)

    assert project.counted() - before == ROUNDS
