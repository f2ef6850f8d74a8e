"""An optional owner whose server is not there when the release is installed, and comes later: with each Helm.

The releases are installed at the same time, so that their Jobs wait for their deadlines together. The order of the
tests matters.
"""

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cluster import Cluster, run
from tests.e2e.outside import OutsideServer, outside_server
from tests.e2e.second import SecondRelease
from tests.support.waiting import until

pytestmark = pytest.mark.cluster

HELMS = [helm for helm in ("helm", "helm3") if shutil.which(helm)] or ["helm"]
DEADLINE_SECONDS = 60
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}}  # two releases more in a node of two cores


@dataclass(frozen=True)
class Late(SecondRelease):
    """A release of one Helm, whose legacy owner is the server `late`."""

    program: str = "helm"

    def helm(self, *arguments: str) -> str:
        """Return the output of this Helm."""
        return run(self.program, "--kubeconfig", self.cluster.kubeconfig, "--namespace", self.name, *arguments)

    def values(self, image: str) -> Mapping[str, Any]:
        """Return the values, with the smallest requests."""
        legacy = {"mode": "external", "host": "late", "name": self.program, "secret": {"name": "late"}}
        return {
            "image": {"tag": image.partition(":")[2]},
            "databases": {
                "replica": {"enabled": False},
                "analytics": {"enabled": False},
                "legacy": {**legacy, "tls": {"mode": "require"}, "required": False},
            },
            "migrations": {"activeDeadlineSeconds": DEADLINE_SECONDS},
            "replicaCount": 1,
            "workers": 1,
            "resources": SMALL,
            "bundled": {"postgresql": {"resources": SMALL}},
            "metrics": {"enabled": False},
        }

    def condition(self, name: str) -> dict[str, str] | None:
        """Return the condition of the legacy owner's Job with this name, once it is true."""
        found: list[dict[str, str]] = self.jobs()["legacy"]["status"].get("conditions", [])
        return next((each for each in found if each["type"] == name and each["status"] == "True"), None)


@pytest.fixture(scope="module")
def server() -> Iterator[OutsideServer]:
    """The server, beside the cluster, with a database for each release."""
    users = "CREATE USER app@'%' IDENTIFIED BY 'p-w';" + "".join(
        f"CREATE DATABASE {helm}; GRANT ALL ON {helm}.* TO app@'%';" for helm in HELMS
    )
    files = {"docker-entrypoint-initdb.d/users.sql": users}
    with outside_server("late", "mysql:9.7", files=files, MYSQL_ROOT_PASSWORD="superuser") as started:
        yield started


@pytest.fixture(scope="module")
def releases(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Late]]:
    """The releases. Nobody finds their legacy server, because the name `late` has no address."""
    (deployment,) = cluster.objects("deployments", "service")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    found = {helm: Late(cluster, f"late-{helm}", program=helm) for helm in HELMS}
    file: Path = tmp_path_factory.mktemp("late") / "values.json"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"password": "p-w"}}
    with ExitStack() as stack:
        for release in found.values():
            stack.enter_context(release.namespace())
            release.apply(secret)
            file.write_text(json.dumps(release.values(image)))
            release.helm("install", release.name, str(cluster.source / "chart"), "--values", str(file))
        yield found


@pytest.fixture(params=HELMS)
def release(request: pytest.FixtureRequest, releases: Mapping[str, Late]) -> Late:
    """The release of one Helm."""
    return releases[request.param]


def test_service__without_legacy(release: Late) -> None:
    """The service becomes ready without its optional owner, and says that it is degraded."""
    release.kubectl("rollout", "status", f"deployment/{release.fullname}", "--timeout=180s", timeout=190)

    assert release.call("GET", "/readyz") == {"status": "degraded", "aliases": {"default": "up", "legacy": "down"}}


def test_job__without_legacy(release: Late) -> None:
    """The Job of the absent owner waits as long as its deadline says, and shows that it failed."""
    until(lambda: bool(release.condition("Failed")), "a failed Job", seconds=DEADLINE_SECONDS + 60)

    failed, began = release.condition("Failed"), release.jobs()["legacy"]["status"]["startTime"]

    assert failed
    waited = dt.datetime.fromisoformat(failed["lastTransitionTime"]) - dt.datetime.fromisoformat(began)
    assert failed["reason"] == "DeadlineExceeded"
    assert DEADLINE_SECONDS <= waited.total_seconds() < DEADLINE_SECONDS + 30


def test_job__tried_again(release: Late, server: OutsideServer) -> None:
    """Once the server is there, the command of the notes makes a new Job, which migrates it: nothing is degraded."""
    before = release.jobs()["legacy"]["metadata"]["name"]
    command = rf"helm upgrade {release.name} <chart> --namespace {release.name} (.*)"
    (options,) = re.findall(command, release.helm("get", "notes", release.name))
    release.apply(*server.service(3306))

    release.helm("upgrade", release.name, str(release.cluster.source / "chart"), *options.split())

    until(lambda: bool(release.condition("Complete")), "a complete Job", seconds=DEADLINE_SECONDS)
    assert release.jobs()["legacy"]["metadata"]["name"] != before
    until(lambda: release.call("GET", "/readyz")["status"] == "ok", "no degraded service", seconds=30)
