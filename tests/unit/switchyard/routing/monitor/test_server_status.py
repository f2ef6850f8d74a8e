"""`manage.py replicas`: the state of owners and replicas as a table and as JSON, without a server."""

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import call_command
from tests.support.published import at, lagging, sampled

from switchyard.routing.monitor.monitor import running
from switchyard.routing.monitor.server_status import server_reports
from switchyard.routing.topology.replication import Replica, ReplicationSet


@pytest.fixture
def group() -> Iterator[ReplicationSet]:
    """An owner that has written 1000, and two replicas that have replayed it."""
    with lagging("replica", "legacy") as group:
        sampled(group, 1000)
        group.replace_snapshot([Replica("replica", "", at(1000), 0.0, 0), Replica("legacy", "", at(1000), 0.0, 0)])
        yield group


def replicas(*arguments: str) -> tuple[int, str]:
    """Return the exit code and the output."""
    printed = StringIO()
    try:
        call_command("replicas", *arguments, stdout=printed)
    except SystemExit as ended:
        return int(str(ended.code)), printed.getvalue()
    return 0, printed.getvalue()


@pytest.mark.parametrize(
    ("unavailable_reason", "reason", "code"), [("", "", 0), ("", "lagging", 1), ("standby", "", 2), ("down", "down", 2)]
)
def test_replicas__exit_code(group: ReplicationSet, unavailable_reason: str, reason: str, code: int) -> None:
    """The exit code is 2 if an owner must not be written, else 1 if a replica is unfit, else 0."""
    group.replace_snapshot(unavailable_reason=unavailable_reason)
    group.replace_snapshot([Replica("replica", reason, at(900), 31.0, 100), Replica("legacy", "", at(1000), 0.0, 0)])

    assert replicas("--json")[0] == code
    assert not running()


def test_replicas__as_json(group: ReplicationSet) -> None:
    """Each server has state, position and lag; an unknown lag is null."""
    group.replace_snapshot([Replica("replica", "lagging", at(900), 31.0, 100), Replica("legacy", "down", at(800))])

    owner, replica, legacy = json.loads(replicas("--json")[1])

    assert (owner["alias"], owner["replica_of"], owner["state"], owner["fit"]) == ("default", None, "fit", True)
    assert (replica["replica_of"], replica["state"], replica["fit"]) == ("default", "lagging", False)
    assert (replica["position"], replica["lag_seconds"], replica["lag_bytes"]) == (at(900).text(), 31.0, 100)
    assert (legacy["position"], legacy["lag_seconds"], legacy["lag_bytes"]) == (at(800).text(), None, None)


def test_replicas__for_people(group: ReplicationSet) -> None:
    """The table shows lag in seconds and in readable bytes."""
    group.replace_snapshot(
        [Replica("replica", "lagging", at(900), 31.04, 233_000), Replica("legacy", "", at(1000), 0.0, 0)]
    )

    assert "│ replica │ default    │ lagging │ 31.0 s │ 233.0 kB │" in replicas()[1]


def test_server_reports__no_lag() -> None:
    """A replica that opens the file of its owner has the state `no lag`."""
    assert [(each.alias, each.state, each.fit) for each in server_reports()] == [
        ("default", "no lag", True),
        ("replica", "no lag", True),
    ]
    assert replicas()[0] == 0
