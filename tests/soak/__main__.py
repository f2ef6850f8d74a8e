"""`make soak`: upgrades, rollbacks and kills under load, in a kind cluster of its own, in at most 90 minutes.

It writes build/soak.json and prints a table; the exit code says whether everything was as it should be. KIND_CLUSTER
and KIND_KUBECONFIG name a cluster that exists; `--keep` keeps it.
"""

import argparse
import os
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from tests.e2e.cluster import RELEASE, Cluster, copied_source
from tests.soak.plan import planned
from tests.soak.release import Release
from tests.soak.report import reported, written
from tests.soak.soak import VALUES, image_of, soak
from tests.support.service import free_port

MINUTES = 85  # of 90, for the last event and the report


def main() -> int:
    """Soak, report, and return the exit code."""
    parser = argparse.ArgumentParser(description="Upgrade, roll back and kill a release under load.")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the order and the moments")
    parser.add_argument("--scale", choices=("full", "small"), default="full")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="no event begins later")
    parser.add_argument("--keep", action="store_true", help="keep the cluster")
    options = parser.parse_args()
    began_at = time.time()
    with TemporaryDirectory() as directory:
        kubeconfig = Path(os.environ.get("KIND_KUBECONFIG", f"{directory}/kubeconfig"))
        source = copied_source(Path(mkdtemp(dir=directory)))  # edits during the soak change nothing
        name = os.environ.get("KIND_CLUSTER", "switchyard-soak")
        cluster = Cluster(name, free_port(), free_port(), kubeconfig=kubeconfig, source=source)
        try:
            cluster.up()
            install_seconds = install_again(cluster)
            left = options.minutes * 60 - (time.time() - began_at)
            plan = planned(options.seed, small=options.scale == "small")
            found = soak(cluster, plan, seed=options.seed, seconds=left)
        finally:
            if not options.keep:
                cluster.down()
    report = reported(found, install_seconds=install_seconds)
    written(report)
    return 1 if report.problems() else 0


def install_again(cluster: Cluster) -> float:
    """Remove the release with its data, install it again, and return the seconds until it is healthy."""
    tag = image_of(cluster).partition(":")[2]
    cluster.helm("uninstall", RELEASE, "--wait", "--timeout", "2m")
    cluster.kubectl("delete", "pvc,secret", "--selector", f"app.kubernetes.io/instance={RELEASE}")
    began = time.monotonic()
    release = Release(cluster)
    release.upgrade(image__tag=tag, **VALUES)
    release.wait_until_healthy()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
