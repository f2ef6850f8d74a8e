"""The project's servers, started before Django is set up: a PostGIS primary and its standby, each with three databases.

Each test runs in fresh state, as a task or a cron command does. Nothing is rolled back: a test names its own rows.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import django
import pytest
from django.db import connections
from tests.support.engine import UnavailableError
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import POSTGRESQL, ROOT_PASSWORD
from tests.support.waiting import until

from switchyard.routing.monitor import monitor
from switchyard.routing.session.consistency import PendingPosition
from switchyard.routing.session.context import activate, current, task_context
from switchyard.routing.topology.replication import replication_set

HERE = Path(__file__).resolve().parent
NOT_AVAILABLE = 77  # the exit status that tests/run-compat knows

_running = ExitStack()
_servers = pytest.StashKey[Servers]()


def pytest_configure(config: pytest.Config) -> None:
    """Start and migrate the servers, and set Django up, because test modules import models."""
    try:
        servers = _running.enter_context(network_of_servers(POSTGRESQL))
    except UnavailableError as error:
        pytest.exit(f"real servers: {error}", returncode=NOT_AVAILABLE)
    config.stash[_servers] = servers
    servers.start_postgres("default")
    servers.answers("default")
    servers.ask("default", "CREATE DATABASE gis", "CREATE DATABASE counted")
    servers.start_standby("replica", of="default")
    servers.answers("replica")
    os.environ |= {
        "COMPAT_PASSWORD": ROOT_PASSWORD,
        "COMPAT_PRIMARY_PORT": str(servers.by_alias["default"].port),
        "COMPAT_STANDBY_PORT": str(servers.by_alias["replica"].port),
        "DJANGO_SETTINGS_MODULE": "project.settings",
    }
    subprocess.run([sys.executable, "-m", "django", "migrate_all"], cwd=HERE, check=True, stdout=subprocess.DEVNULL)
    servers.caught_up()
    django.setup()
    monitor.start()
    _running.callback(monitor.stop)


def pytest_unconfigure() -> None:
    """Stop the monitor, and remove the servers."""
    _running.close()


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """Run the test as a task that nobody sent: it requires no position."""
    with activate(task_context()):
        yield
    connections.close_all()


@pytest.fixture
def others() -> Callable[[], AbstractContextManager[object]]:
    """Give a block that runs as another client: the test does not require what the block writes."""
    return lambda: activate(task_context())


@pytest.fixture
def replay_paused(pytestconfig: pytest.Config) -> Callable[[], AbstractContextManager[None]]:
    """Give a block in which the standby shows the rows written before the block, and no later rows."""
    servers = pytestconfig.stash[_servers]

    @contextmanager
    def block() -> Iterator[None]:
        servers.caught_up()
        until(_monitor_has_seen_it(), "the monitor has seen that the standby has caught up")
        with servers.held_back():
            yield
        servers.caught_up()

    return block


def _monitor_has_seen_it() -> Callable[[], bool]:
    """Return whether samples that begin after this call show that the standbys have what this client requires.

    The server may write to its log without a client, so a position that is known only later may be a later one.
    """
    called_at = time.monotonic()

    def seen(owner: str) -> bool:
        snapshot, required = replication_set(owner).snapshot, current().consistency.required_position(owner)
        sample = snapshot.owner_sample
        if sample is None or sample.begun_at < called_at or sample.status.position is None:
            return False
        if type(required) is PendingPosition or not snapshot.all_caught_up(sample.status.position):
            return False
        return required is None or snapshot.all_caught_up(required)

    return lambda: all(map(seen, ("default", "gis", "counted")))
