"""One cluster for all of these tests, created by the script behind `make kind-up` and removed at the end.

KEEP_CLUSTER=1 keeps the cluster for inspection.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from tests.e2e.cluster import Cluster, Prometheus, copied_source
from tests.support.service import free_port
from tests.support.waiting import until


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that kind-up reads, so that edits during the tests change no image."""
    return copied_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def cluster(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The release after kind-up."""
    missing = [tool for tool in ("docker", "kind", "kubectl", "helm") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers")
    kubeconfig = tmp_path_factory.mktemp("kind") / "kubeconfig"
    started = Cluster("switchyard-e2e", free_port(), free_port(), kubeconfig=kubeconfig, source=source)
    started.down()
    try:
        started.up()
        yield started
    finally:
        if not os.environ.get("KEEP_CLUSTER"):
            started.down()


@pytest.fixture(scope="session")
def prometheus(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus of this machine that scrapes the release each second."""
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed (Debian's package has that name)")
    home, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = home / "prometheus.yml"
    config.write_text(
        "scrape_configs:\n"
        "  - job_name: switchyard\n"
        "    scrape_interval: 1s\n"
        "    scrape_timeout: 1s\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{cluster.metrics_port}']}}]\n"
    )
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={home}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        found = Prometheus(f"http://127.0.0.1:{port}")
        until(lambda: _has_counts(found), f"counts in Prometheus; see {home}/log", seconds=60)
        yield found
    finally:
        server.terminate()
        server.wait(timeout=30)


def _has_counts(prometheus: Prometheus) -> bool:
    try:
        with urlopen(f"{prometheus.url}/-/ready", timeout=5):
            return bool(prometheus.counted())
    except URLError:
        return False


@pytest.fixture
def changed_source(source: Path, tmp_path: Path) -> Path:
    """A copy of the source tree that a test may change."""
    return Path(shutil.copytree(source, tmp_path / "switchyard"))
