"""`manage.py run`: the whole service on embedded databases, as `make run` starts it, without a driver."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.service import APP, SECRETS, TOKEN, Service, embedded_environ, free_port, listens, running
from tests.support.waiting import until


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment without variables of the service, without drivers and without data."""
    return embedded_environ(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("drivers"))


def gone(pids: Mapping[int, str]) -> bool:
    """Return True if all processes have ended, after a short wait."""
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def ran(*command: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(command, env=environ, cwd=APP, capture_output=True, text=True, check=False, timeout=60)


def test_run__first_then_second(environ: dict[str, str]) -> None:
    """A first run serves sample data and counts reads; ^C ends it without a traceback; a second run keeps the data."""
    with running(environ) as first:
        created, user = first.ask("POST", "/api/users", '{"username": "kept", "email": "kept@example.com"}')
        listed, _ = first.ask("GET", "/api/users?limit=1000")
        _, metrics = first.ask("GET", "/metrics", port=first.metrics_port)
        below = first.descendants()
        code, last = first.end(signal.SIGINT)

    assert "First run" in first.said
    assert f"Token     {TOKEN}" in first.said
    assert (created, listed) == (201, 200), user
    assert 'switchyard_queries_total{alias="replica",app="accounts",operation="read"} 1.0' in metrics
    assert sum("gunicorn" in args for args in below.values()) == 3
    assert sum("exporter" in args for args in below.values()) == 1
    assert (code, last.splitlines()[-1]) == (0, "Stopped. The data stays for the next run.")
    assert gone(below)

    with running(environ) as second:
        _, users = second.ask("GET", "/api/users?limit=1000")
        below = second.descendants()
        code, last = second.end(signal.SIGTERM)

    assert "First run" not in second.said
    assert '"username": "kept"' in users
    assert code == 0, last
    assert gone(below)


@pytest.mark.parametrize("victim", ["exporter", "gunicorn"])
def test_run__a_child_dies(environ: dict[str, str], victim: str) -> None:
    """If the web process or the metrics process ends, the other one ends too, and the exit code is an error."""
    with running(environ) as service:
        below = service.descendants()
        os.kill(min(pid for pid, args in below.items() if victim in args), signal.SIGKILL)
        service.process.wait(timeout=30)
        said = service.rest.read()

    assert service.process.returncode == 1
    assert "ended by SIGKILL. The rest was stopped too." in said
    assert gone(below)


@pytest.mark.parametrize("variable", ["PORT", "METRICS_PORT"])
def test_run__port_in_use(environ: dict[str, str], variable: str) -> None:
    """A port in use is an error of one line, before anything is created."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = ran(sys.executable, "manage.py", "run", environ={**environ, variable: str(port)})

    assert ended.returncode == 1
    assert ended.stderr == (
        f"{variable}='{port}' is in use. Stop what listens there, or set {variable} to another port.\n"
    )


GUNICORN = ("-m", "gunicorn", "--config", "config/gunicorn.conf.py", "config.wsgi")


@pytest.mark.parametrize("command", [("manage.py", "check"), GUNICORN, ("-c", "import config.wsgi")])
def test_start__wrong_value(environ: dict[str, str], command: tuple[str, ...]) -> None:
    """A wrong value ends each way to start with one line, and without a traceback."""
    wrong = {"DATABASE_DEFAULT_URL": "postgres://app:s3cret@db:port/name"}

    ended = ran(sys.executable, *command, environ={**environ, **SECRETS, **wrong})

    assert ended.returncode == 1
    assert ended.stderr.startswith("DATABASE_DEFAULT_URL='postgres://***@db:port/name' cannot be read as a URL. Write ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("missing", SECRETS)
@pytest.mark.parametrize("command", [GUNICORN, ("-c", "import config.wsgi")])
def test_start__no_secret(environ: dict[str, str], command: tuple[str, ...], missing: str) -> None:
    """No server starts without a key and a token; commands, such as those of a migration Job, need neither."""
    given = {name: value for name, value in SECRETS.items() if name != missing}

    ended = ran(sys.executable, *command, environ={**environ, **given})

    assert ended.returncode == 1
    assert ended.stderr == f"{missing} is not set. Set it, or name a file that holds it in {missing}_FILE.\n"


def test_start__deployment_checks(environ: dict[str, str]) -> None:
    """Django's deployment checklist finds nothing in a service with its secrets."""
    ended = ran(
        *(sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"),
        environ={**environ, **SECRETS},
    )

    assert ended.returncode == 0, ended.stderr


def test_start__absent_owner(environ: dict[str, str], tmp_path: Path) -> None:
    """An app whose owner is absent is named once at the start, and its paths answer 404."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, *GUNICORN],
        env={**environ, **SECRETS, "DATABASE_DEFAULT_URL": f"sqlite:///{tmp_path}/one.sqlite3", "PORT": str(port)},
        cwd=APP,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        service = Service(process, port, port, "", process.stdout)
        try:
            until(lambda: listens(port), "the service listens", seconds=30)
            present, _ = service.ask("GET", "/livez")
            absent, _ = service.ask("GET", "/console/nothing")
        finally:
            process.terminate()
        said = service.rest.read()

    assert (present, absent) == (200, 404)
    for app in ("analytics", "reporting", "legacy"):
        assert said.count(f"App '{app}' is not installed: its owner") == 1


def test_run__one_variable(environ: dict[str, str], tmp_path: Path) -> None:
    """One variable ends the embedded databases; each absent replica and app has one line with the variable to set."""
    with running({**environ, "DATABASE_DEFAULT_URL": f"sqlite:///{tmp_path}/one.sqlite3"}) as service:
        said = service.said

    assert said.count("Alias 'replica', a replica of 'default', is absent. Set DATABASE_REPLICA_URL to add it.") == 1
    for app, alias in (("analytics", "ANALYTICS"), ("reporting", "ANALYTICS"), ("legacy", "LEGACY")):
        (line,) = [line for line in said.splitlines() if f"App '{app}' is not installed" in line]
        assert f"Set DATABASE_{alias}_URL to install it." in line
