"""`manage.py replicas`: what is known of owners and replicas, for people and for programs; no server is asked here."""

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
    """Return the exit code and what is printed."""
    printed = StringIO()
    try:
        call_command("replicas", *arguments, stdout=printed)
    except SystemExit as ended:
        return int(str(ended.code)), printed.getvalue()
    return 0, printed.getvalue()


@pytest.mark.parametrize(
    ("refusal", "reason", "code"), [("", "", 0), ("", "lagging", 1), ("standby", "", 2), ("down", "down", 2)]
)
def test_replicas__exit_code(group: ReplicationSet, refusal: str, reason: str, code: int) -> None:
    """It is that of the worst: an owner that must not be written, a replica that is not read."""
    group.replace_snapshot(unavailable_reason=refusal)
    group.replace_snapshot([Replica("replica", reason, at(900), 31.0, 100), Replica("legacy", "", at(1000), 0.0, 0)])

    assert replicas("--json")[0] == code
    assert not running()


def test_replicas__as_json(group: ReplicationSet) -> None:
    """Each server has its state, position and lag; a lag that nobody knows is none."""
    group.replace_snapshot([Replica("replica", "lagging", at(900), 31.0, 100), Replica("legacy", "down", at(800))])

    owner, replica, legacy = json.loads(replicas("--json")[1])

    assert (owner["alias"], owner["replica_of"], owner["state"], owner["fit"]) == ("default", None, "fit", True)
    assert (replica["replica_of"], replica["state"], replica["fit"]) == ("default", "lagging", False)
    assert (replica["position"], replica["lag_seconds"], replica["lag_bytes"]) == (at(900).text(), 31.0, 100)
    assert (legacy["position"], legacy["lag_seconds"], legacy["lag_bytes"]) == (at(800).text(), None, None)


def test_replicas__for_people(group: ReplicationSet) -> None:
    """Lag is in seconds and in bytes that people read."""
    group.replace_snapshot(
        [Replica("replica", "lagging", at(900), 31.04, 233_000), Replica("legacy", "", at(1000), 0.0, 0)]
    )

    assert "│ replica │ default    │ lagging │ 31.0 s │ 233.0 kB │" in replicas()[1]


def test_servers__in_step() -> None:
    """The replica that opens its owner's file has no position, and is never behind."""
    assert [(each.alias, each.state, each.fit) for each in server_reports()] == [
        ("default", "no lag", True),
        ("replica", "no lag", True),
    ]
    assert replicas()[0] == 0
