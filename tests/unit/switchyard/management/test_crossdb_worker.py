"""The command of the worker."""

import json
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from tests.support.gunicorn import database_environ
from tests.support.moments import NOON
from tests.support.service import APP

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb.references.tombstones import Tombstone

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
LABEL = "analytics.AnalyticsEvent.user"


@pytest.fixture
def deleted(db: None) -> None:
    """A deleted user with one event, and no other tombstone."""
    Tombstone.objects.using("default").all().delete()
    user = User.objects.create(username="ada")
    AnalyticsEvent.objects.create(user=user, kind="login", at=NOON)
    user.delete()


def printed(*arguments: str) -> str:
    """Run the command, and return its output."""
    out = StringIO()
    call_command("crossdb_worker", *arguments, stdout=out)
    return out.getvalue()


@databases
def test_crossdb_worker__once(deleted: None) -> None:
    """A table shows what was done for each reference."""
    output = printed("--once")

    assert LABEL in output
    assert not AnalyticsEvent.objects.exists()


@databases
def test_crossdb_worker__once_as_json(deleted: None) -> None:
    """The same as a JSON object, by the reference."""
    assert json.loads(printed("--once", "--json")) == {
        LABEL: {"deleted": 1, "set_null": 0, "handled": 1, "parent_exists": 0, "failed": 0, "set_aside": 0}
    }


@databases
def test_crossdb_worker__recheck(deleted: None) -> None:
    """--recheck looks at handled tombstones again, which are not due yet."""
    printed("--once")

    assert json.loads(printed("--once", "--json"))[LABEL]["handled"] == 0
    assert json.loads(printed("--once", "--json", "--recheck"))[LABEL]["handled"] == 1


@databases
def test_crossdb_worker__unknown_reference(deleted: None, caplog: pytest.LogCaptureFixture) -> None:
    """The worker says which tombstones it does not take."""
    Tombstone.objects.using("default").create(reference="shop.Order.user", parent_key="1")
    printed("--once")

    assert "'default' has 1 tombstones of shop.Order.user" in caplog.text


def test_crossdb_worker__json_without_once() -> None:
    """--json needs --once."""
    with pytest.raises(CommandError, match="--once"):
        printed("--json")


def test_crossdb_worker__sigterm(tmp_path: Path) -> None:
    """The worker runs until SIGTERM and then ends with 0."""
    environ = database_environ(tmp_path, users=1)
    command = [sys.executable, "manage.py", "crossdb_worker"]
    with subprocess.Popen(command, cwd=APP, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == f"Watching the deletions for {LABEL}.\n"
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0
