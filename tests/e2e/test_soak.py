"""A short soak: two upgrades, a rollback and a kill of each, with the modules behind `make soak`."""

from pathlib import Path

import pytest
from tests.e2e.cluster import Cluster
from tests.soak.plan import planned
from tests.soak.report import reported, written
from tests.soak.soak import soak

pytestmark = pytest.mark.cluster

SEED = 1
SECONDS = 900
CLIENTS = 5  # of the 20 of `make soak`: the machine of a test may have two cores for everything


def test_soak__small(cluster: Cluster, tmp_path: Path) -> None:
    """No request fails that the event does not allow to fail, no accepted write is lost, and the release heals."""
    cluster.up()  # an earlier test may have installed another source tree

    report = reported(soak(cluster, planned(SEED, small=True), seed=SEED, seconds=SECONDS, clients=CLIENTS))

    written(report, tmp_path / "soak.json")
    assert report.problems() == []
    assert len(report.seen) == 7
