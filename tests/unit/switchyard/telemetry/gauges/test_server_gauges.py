"""The gauges of the servers, from the files of the processes that ask them."""

import json
import time
from pathlib import Path

from switchyard.routing.monitor.shared_file import Published, ServerGauges, SharedFile
from switchyard.telemetry.gauges.server_gauges import pool_gauges, server_gauges

LAG = "switchyard_replica_lag_seconds"
SERVER = ServerGauges(
    "postgresql",
    "18.6",
    "",
    reason="",
    sampled_at=None,
    lag_seconds=None,
    lag_bytes=None,
    pending_migrations=None,
)


def gauges(directory: Path) -> dict[tuple[str, str], float]:
    """Return each gauge by its name and alias."""
    return {
        (sample.name, sample.labels["alias"]): sample.value
        for metric in server_gauges(directory)
        for sample in metric.samples
    }


def write(directory: Path, written_at: float, *aliases: str, **servers: ServerGauges) -> None:
    SharedFile(directory, aliases or ("default", "replica")).write(Published(written_at, {}, servers=servers))


def test_server_gauges__no_file(tmp_path: Path) -> None:
    """Before a process watches there are no values."""
    assert gauges(tmp_path) == {}


def test_server_gauges__of_an_owner_and_its_replica(tmp_path: Path) -> None:
    """Each alias has its verdict; a lag that is unknown is left out."""
    now = time.monotonic()
    owner = SERVER._replace(sampled_at=now - 5, pending_migrations=3)
    replica = SERVER._replace(replica_of="default", reason="lagging", lag_seconds=2.5, lag_bytes=7)
    write(tmp_path, now, default=owner, replica=replica)
    found = gauges(tmp_path)
    age = found.pop(("switchyard_server_answer_age_seconds", "default"))

    assert 5 <= age < 6
    assert found == {
        ("switchyard_alias_info", "default"): 1,
        ("switchyard_alias_info", "replica"): 1,
        ("switchyard_owner_writable", "default"): 1,
        ("switchyard_replica_fit", "replica"): 0,
        (LAG, "replica"): 2.5,
        ("switchyard_replica_lag_bytes", "replica"): 7,
        ("switchyard_pending_migrations", "default"): 3,
    }


def test_server_gauges__two_files_with_one_alias(tmp_path: Path) -> None:
    """The file that was written last holds: the other one is of earlier settings."""
    old = SERVER._replace(replica_of="default", lag_seconds=9)
    write(tmp_path, 7.0, "default", "replica", replica=old._replace(lag_seconds=1))
    write(tmp_path, 5.0, "default", "replica", "legacy", replica=old)

    assert gauges(tmp_path)[LAG, "replica"] == 1


def test_pool_gauges__of_two_processes(tmp_path: Path) -> None:
    """The pools of all processes that write are added; a process that has ended is left out."""
    pool = {"idle": 1, "used": 2, "max": 4, "pending_requests": 3}
    now = time.monotonic()
    for number, written_at in enumerate((now, now, now - 60)):
        content = {"written_at": written_at, "pools": {"analytics": pool}}
        (tmp_path / f"process-{number}").write_text(json.dumps(content))
    (tmp_path / "process-0.lock").touch()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in pool_gauges(tmp_path)
        for sample in metric.samples
    }

    assert found == {
        ("db_client_connection_count", "analytics", "idle"): 2,
        ("db_client_connection_count", "analytics", "used"): 4,
        ("db_client_connection_max", "analytics"): 8,
        ("db_client_connection_pending_requests", "analytics"): 6,
    }


def test_server_gauges__info(tmp_path: Path) -> None:
    """Each alias has its vendor, its role and the version of its server."""
    write(tmp_path, 1.0, default=SERVER, replica=SERVER._replace(replica_of="default"))
    (info,) = (metric for metric in server_gauges(tmp_path) if metric.name == "switchyard_alias_info")

    assert [tuple(sample.labels.values()) for sample in info.samples] == [
        ("default", "postgresql", "owner", "18.6"),
        ("replica", "postgresql", "replica", "18.6"),
    ]
