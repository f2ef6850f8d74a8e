"""A soak: clients load the release from a pod in the cluster, while one event after the other happens to it."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from tests.e2e.cluster import RELEASE, Cluster
from tests.soak.answers import Answer, parsed
from tests.soak.events import Kind, Moment
from tests.soak.images import Image, built
from tests.soak.owners import OWNERS
from tests.soak.plan import Planned
from tests.soak.release import SETTLE_SECONDS, Release, wait_until

LOAD = "soak-load"
CLIENTS = 20  # of which each writes once and reads four times a second
QUIET_SECONDS = 10  # under load before the first event and after the last
RECORD = "/record/answers"
VALUES = {"replicaCount": 2}  # so that one pod may be killed


@dataclass(frozen=True)
class Happened:
    """An event that is over, with the times of its steps; `error` is empty if everything went as it should."""

    kind: Kind
    alias: str
    began_at: float
    acted_at: float
    healed_at: float
    load_average: float  # processes of this machine that wanted a core, over the last minute
    error: str = ""


@dataclass
class Soaked:
    """What a soak has found."""

    seed: int
    began_at: float
    events: list[Happened] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # events for which there was no time
    answers: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # names that were accepted and are not on the primary
    ended_at: float = 0.0


def soak(cluster: Cluster, plan: list[Planned], *, seed: int, seconds: float, clients: int = CLIENTS) -> Soaked:
    """Let the events of the plan happen to the release of the cluster, under load; begin none after the seconds."""
    found, console, random = Soaked(seed, time.time()), Console(), Random(seed)
    release, image = Release(cluster), image_of(cluster)
    images = iter(built(cluster.name, image, [each for event in plan for each in event.migrations]))
    release.upgrade(image__tag=image.partition(":")[2], **VALUES)
    release.wait_until_healthy()
    prefix = f"soak-{int(found.began_at)}"
    with load(release, image, prefix, clients) as answers:
        time.sleep(QUIET_SECONDS)
        for number, event in enumerate(plan, start=1):
            if time.time() > found.began_at + seconds:
                found.left_out = [each.kind.name for each in plan[number - 1 :]]
                break
            happened = _happen(release, event, [next(images) for _ in event.migrations], random)
            found.events.append(happened)
            healed = f"healthy {happened.healed_at - happened.acted_at:.0f} s later"
            what = f"{number}/{len(plan)} {event.kind.name} {event.alias}".strip()
            console.print(f"{time.strftime('%X')} {what}: {happened.error or healed}")
        time.sleep(QUIET_SECONDS)
    found.answers = answers
    found.lost = sorted(_accepted(answers) - _on_the_primary(release, prefix))
    found.ended_at = time.time()
    return found


def _happen(release: Release, event: Planned, images: list[Image], random: Random) -> Happened:
    moment, began_at, error = Moment(release, event.alias, images, random), time.time(), ""
    try:
        event.kind.happen(moment)
    except (AssertionError, TimeoutError, subprocess.TimeoutExpired) as failure:
        error = str(failure)
    healed_at = time.time()
    time.sleep(SETTLE_SECONDS)
    return Happened(event.kind, event.alias, began_at, moment.acted_at, healed_at, os.getloadavg()[0], error)


@contextmanager
def load(release: Release, image: str, prefix: str, clients: int) -> Iterator[list[Answer]]:
    """Run the clients in a pod during this block; afterwards the list has their answers."""
    answers: list[Answer] = []
    kubectl = release.cluster.kubectl
    kubectl("delete", "pod,configmap", LOAD, "--ignore-not-found", "--grace-period=1")
    for manifest in _manifests(image, prefix, clients):
        kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
    kubectl("wait", "--for=condition=Ready", f"pod/{LOAD}", "--timeout=60s")
    try:
        yield answers
        kubectl("exec", LOAD, "--", "touch", f"{RECORD}.stop")
        wait_until(lambda: "ended" in kubectl("exec", LOAD, "--", "ls", "/record"), "the clients have ended")
    finally:
        answers += parsed(kubectl("exec", LOAD, "--", "cat", RECORD, timeout=600))
        kubectl("delete", "pod,configmap", LOAD, "--grace-period=1")


def _manifests(image: str, prefix: str, clients: int) -> list[dict[str, Any]]:
    metadata = {"name": LOAD, "labels": {"app": LOAD}}
    script = (Path(__file__).parent / "load.py").read_text()
    container = {
        "name": "load",
        "image": image,
        "command": ["python", "/soak/load.py", RELEASE, "8000", prefix, str(clients), RECORD],
        "env": [{"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": RELEASE, "key": "api-token"}}}],
        # As much as a pod of the service: without a request the clients would wait for a core, and not for the service.
        "resources": {"requests": {"cpu": "100m"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "soak", "mountPath": "/soak"}, {"name": "record", "mountPath": "/record"}],
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "soak", "configMap": {"name": LOAD}}, {"name": "record", "emptyDir": {}}],
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"load.py": script}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    ]


def image_of(cluster: Cluster) -> str:
    """Return the image of the service."""
    (deployment,) = cluster.objects("deployments", "service")
    image: str = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def _accepted(answers: list[Answer]) -> set[str]:
    return {answer.name for answer in answers if answer.kind == "write" and answer.fulfilled}


def _on_the_primary(release: Release, prefix: str) -> set[str]:
    sql = f"SELECT username FROM accounts_user WHERE username LIKE '{prefix}-%'"
    return set(OWNERS["default"].ask(release.cluster, sql).split())
