"""Probed servers for the tests of watches and of the monitor."""

from collections.abc import Iterator

import pytest
from tests.support.probed_servers import ProbedServers
from tests.support.published import lagging

from switchyard.routing.monitor import sockets


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProbedServers]:
    """Return an owner and two replicas that have not been probed yet."""
    monkeypatch.setattr(sockets, "shutdown", lambda _alias: 0)
    with lagging("replica", "legacy") as group:
        yield ProbedServers(group)
