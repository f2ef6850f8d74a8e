"""The file in which a process writes the gauges of its pools. tests/integration has real pools."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import connections

from switchyard.telemetry.gauges import pool_gauges
from switchyard.telemetry.gauges.pool_gauges import pools


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of the alias `analytics` with three connections, one of which is lent."""
    stats = {"pool_size": 3, "pool_available": 2, "pool_max": 4, "requests_waiting": 1}
    pools = {"analytics": SimpleNamespace(get_stats=lambda: stats)}
    monkeypatch.setattr(connections["analytics"], "_connection_pools", pools, raising=False)


@pytest.mark.usefixtures("pool")
def test_pools__by_alias() -> None:
    """The connections that are idle and used, the most that there may be, and the threads that wait."""
    assert pools() == {"analytics": {"idle": 2, "used": 1, "max": 4, "pending_requests": 1}}


def test_run__a_directory_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The thread ends with one line of the log."""
    pool_gauges._run(tmp_path / "nowhere")

    assert [record.message for record in caplog.records] == [
        "The pools of this process have no gauges, METRICS_DIR cannot be written: No such file or directory."
    ]
