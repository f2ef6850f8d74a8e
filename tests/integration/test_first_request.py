"""A worker knows its servers before it takes its first request."""

import subprocess
import sys

import pytest
from tests.integration.conftest import APP, environment
from tests.support.servers import Servers

pytestmark = pytest.mark.docker

KNOWN = """
import sys
import config.wsgi
print("config.api" in sys.modules)
from switchyard.routing.monitor import server_status
print({alias: server_status.answers(alias) for alias in ("default", "replica", "analytics", "legacy")})
"""


def started(servers: Servers) -> list[str]:
    """Return what a process knows that has loaded the application: its views, and which servers answer."""
    command = [sys.executable, "-c", KNOWN]
    environ = environment(**servers.environ(), LOG_STREAM="stderr")
    done = subprocess.run(command, cwd=APP, env=environ, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.splitlines()


def test_application__loaded(servers: Servers) -> None:
    """The views are loaded, and each server has answered a probe."""
    views, answers = started(servers)

    assert views == "True"
    assert answers == str({"default": True, "replica": True, "analytics": True, "legacy": True})


def test_application__loaded_while_a_server_hangs(servers: Servers) -> None:
    """A server that hangs does not keep the application from being loaded; the others are known."""
    with servers.paused("legacy"):
        views, answers = started(servers)

    assert views == "True"
    assert answers == str({"default": True, "replica": True, "analytics": True, "legacy": False})
