"""Commands while a MySQL does not answer. Django's own system checks would connect to it at the start."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping

import pytest
from tests.support.gunicorn import database_environ
from tests.support.service import APP, free_port

pytest.importorskip("MySQLdb")


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of the service on SQLite, with events on a MySQL that refuses connections."""
    data = tmp_path_factory.mktemp("data")
    return database_environ(data, users=1) | {
        "DATABASE_DEFAULT_URL": f"sqlite:///{data}/default.sqlite3",
        "DATABASE_ANALYTICS_URL": f"mysql://app:secret@127.0.0.1:{free_port()}/switchyard",
    }


def ended(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=APP, env=environ, capture_output=True, text=True, check=False)


def test_crossdb_worker__starts(environ: Mapping[str, str]) -> None:
    """The worker starts, and waits for the server with the deletions that concern it."""
    command = [sys.executable, "manage.py", "crossdb_worker"]
    with subprocess.Popen(command, cwd=APP, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "Watching the deletions for analytics.AnalyticsEvent.user.\n"
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0


def test_crossdb_audit__ends_with_3(environ: Mapping[str, str]) -> None:
    """The audit says that it could not read a database."""
    audit = ended(environ, "crossdb_audit", "--json")

    assert audit.returncode == 3, audit.stderr
    assert json.loads(audit.stdout)[0]["state"] == "failed"


def test_alias_row__of_the_console(environ: Mapping[str, str]) -> None:
    """The console shows the alias, although its server has never answered."""
    code = "from switchyard.console.aliases import alias_row; print(alias_row('analytics').vendor)"

    assert ended(environ, "shell", "-v0", "-c", code).stdout == "MySQL\n"
