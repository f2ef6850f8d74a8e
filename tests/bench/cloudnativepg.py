"""The service on a Cluster of CloudNativePG with three instances: own writes, a switchover and a failover under load.

`python -m tests.bench.cloudnativepg --image switchyard:dev` needs CloudNativePG's operator in KUBECONFIG's cluster
and the image there. It installs docs/examples/cloudnativepg in the namespace `switchyard`. The clients run in a pod.
"""

import argparse
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.bench.results import ROOT, SMALL, Result, at_most, finish
from tests.bench.traffic import Asked
from tests.e2e.cluster import NAMESPACE, RELEASE, queries, run
from tests.support.waiting import until

EXAMPLE = ROOT / "docs" / "examples" / "cloudnativepg"
CLUSTER = "accounts"
INSTANCES = 3
PAIRS, PAIR_CLIENTS = (400 if SMALL else 10_000), 40
LOAD_CLIENTS = 20  # each writes once and reads four times a second
BEFORE_SECONDS, AFTER_SECONDS = 10.0, 60.0
LONG_READ_SECONDS = 0.3
BACK_BAR_SECONDS = 2.0  # from the change of the Service to the last refused write

type Change = Callable[[], None]


@dataclass
class Traffic:
    """The requests of the clients, which are complete after the block of `traffic()`."""

    asked: list[Asked] = field(default_factory=list)

    def writes(self) -> list[Asked]:
        """Return the writes."""
        return [each for each in self.asked if each.kind == "write"]

    def accepted(self) -> set[str]:
        """Return the names of the users whose creation was accepted."""
        return {each.name for each in self.writes() if each.status == 201}

    def refused(self) -> list[Asked]:
        """Return the writes that were not accepted."""
        return [each for each in self.writes() if each.status != 201]

    def accepted_again_at(self, promoted_at: float) -> float:
        """Return the `time.time()` of the first answer to a write that was accepted after the promotion."""
        answered = (each.began_at + each.seconds for each in self.writes() if each.status == 201)
        return min(at for at in answered if at > promoted_at)

    def reads(self) -> list[Asked]:
        """Return the reads, the stale ones included."""
        return [each for each in self.asked if each.kind != "write"]


def main() -> int:
    """Measure, print and write; the exit code says whether all bars were kept."""
    parser = argparse.ArgumentParser(description="Try the service on a Cluster of CloudNativePG.")
    parser.add_argument("--image", required=True, help="image of the service in the cluster: repository:tag")
    parser.add_argument("--trials", nargs="*", default=list(TRIALS), choices=list(TRIALS))
    options = parser.parse_args()
    make_servers()
    release(options.image)
    start_clients(options.image)
    return finish("cloudnativepg", [each for trial in options.trials for each in TRIALS[trial](options.image)])


def kubectl(*arguments: str, stdin: str = "") -> str:
    """Return the output of kubectl in the namespace of the release."""
    return run("kubectl", "--namespace", NAMESPACE, *arguments, timeout=600, stdin=stdin)


def make_servers() -> None:
    """Make the namespace, the Secret of the service's user, the Cluster and its poolers, unless they are there."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kubectl("apply", "--filename=-", stdin=json.dumps(namespace))
    if not kubectl("get", "secrets", "--field-selector=metadata.name=accounts-web", "--output=name"):
        literals = ("--from-literal=username=web", f"--from-literal=password={secrets.token_hex(16)}")
        kubectl("create", "secret", "generic", "accounts-web", "--type=kubernetes.io/basic-auth", *literals)
    for file in ("cluster.yaml", "poolers.yaml"):
        kubectl("apply", "--filename", str(EXAMPLE / file))
    healthy()


def release(image: str, *files: str) -> None:
    """Install or upgrade the release with the values of the example and of these further files; wait for its pods."""
    repository, _, tag = image.partition(":")
    values = [f"--values={EXAMPLE / file}" for file in ("values.yaml", *files)]
    command = ("helm", "upgrade", "--install", RELEASE, str(ROOT / "chart"), "--namespace", NAMESPACE, *values)
    run(*command, "--set", f"image.repository={repository},image.tag={tag}", timeout=600)
    kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=600s")


def start_clients(image: str) -> None:
    """Start the pod of the clients."""
    kubectl("delete", "pod", "clients", "--ignore-not-found")
    token = {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": RELEASE, "key": "api-token"}}}
    container = {"name": "clients", "image": image, "command": ["sleep", "infinity"], "env": [token]}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "clients"}, "spec": spec}
    kubectl("apply", "--filename=-", stdin=json.dumps(pod))
    kubectl("wait", "--for=condition=Ready", "pod/clients", "--timeout=120s")


@contextmanager
def traffic(mode: str, prefix: str, clients: int, amount: float) -> Iterator[Traffic]:
    """Run the clients in their pod, beside this block; wait for their end after it."""
    found = Traffic()
    command = ("kubectl", "--namespace", NAMESPACE, "exec", "--stdin", "clients", "--", "python", "-")
    arguments = (mode, f"{RELEASE}:8000", prefix, str(clients), str(amount))
    with (ROOT / "tests" / "bench" / "traffic.py").open() as script:
        process = subprocess.Popen([*command, *arguments], stdin=script, stdout=subprocess.PIPE, text=True)
    yield found
    printed, _ = process.communicate()
    found.asked += [Asked(*each) for each in json.loads(printed)]


def own_writes(what: str, *files: str) -> Callable[[str], Iterator[Result]]:
    """Return a trial that counts missed writes while one of the two standbys is paused in replay."""

    def measured(image: str) -> Iterator[Result]:
        release(image, *files)
        with paused_in_replay(standbys()[-1]):
            before = reads_by_alias()
            with traffic("pairs", f"pairs-{secrets.token_hex(4)}", PAIR_CLIENTS, PAIRS) as found:
                pass
            by_alias = {alias: count - before.get(alias, 0) for alias, count in reads_by_alias().items()}
        yield from _counts(what, found)
        yield Result(f"{what}: reads by the replica", by_alias.get("replica", 0), f"of {len(found.reads()):,}")

    return measured


def handover(what: str, change: Change) -> Callable[[str], Iterator[Result]]:
    """Return a trial that changes the primary under load."""

    def measured(image: str) -> Iterator[Result]:
        release(image)
        healthy()
        prefix = f"load-{secrets.token_hex(4)}"
        with traffic("load", prefix, LOAD_CLIENTS, BEFORE_SECONDS + AFTER_SECONDS) as found, led_to() as places:
            time.sleep(BEFORE_SECONDS)
            old, changed_at = primary(), time.time()
            change()
            until(lambda: primary() != old, "another instance is the primary", seconds=AFTER_SECONDS)
            new = primary()
            until(lambda: places[-1].instance == new, "the Service leads to it", seconds=AFTER_SECONDS)
        promoted_at = datetime.fromisoformat(cluster_status()["currentPrimaryTimestamp"]).timestamp()
        led_at = next(place.since for place in places if place.instance == new)
        yield from _counts(what, found)
        waited = [each for each in found.reads() if each.seconds > LONG_READ_SECONDS]
        clients = len({each.name.rpartition("-")[0] for each in waited})
        yield Result(f"{what}: reads of more than {LONG_READ_SECONDS} s", len(waited), f"of {clients} clients")
        refused = found.refused()
        others = sum(each.status != 503 for each in refused)
        yield at_most(f"{what}: refused writes without 503", others, f"of {len(refused):,}", 0)
        lost = found.accepted() - users(prefix)
        yield at_most(f"{what}: accepted writes that were lost", len(lost), f"of {len(found.accepted()):,}", 0)
        yield Result(f"{what}: promotion after its cause", round(promoted_at - changed_at, 2), "s")
        yield Result(f"{what}: {CLUSTER}-rw leads there after the promotion", round(led_at - promoted_at, 2), "s")
        back_at = found.accepted_again_at(promoted_at)
        yield Result(f"{what}: first accepted write after the promotion", round(back_at - promoted_at, 2), "s")
        # A commit also waits for a standby that follows the new primary, which is no refusal.
        later = sum(each.began_at > led_at + BACK_BAR_SECONDS for each in refused)
        name = f"{what}: writes refused later than {BACK_BAR_SECONDS:.0f} s after {CLUSTER}-rw led there"
        yield at_most(name, later, f"of {len(refused):,}", 0)

    return measured


class Place(NamedTuple):
    """The instance that the Service of the primary leads to, empty if none, and since which `time.time()`."""

    instance: str
    since: float


@contextmanager
def led_to() -> Iterator[list[Place]]:
    """Yield the places that the Service of the primary leads to during this block, the newest last."""
    selector = f"--selector=kubernetes.io/service-name={CLUSTER}-rw"
    names = "--output=jsonpath={.endpoints[*].targetRef.name}{'\\n'}"
    command = ("kubectl", "--namespace", NAMESPACE, "get", "endpointslices", selector, "--watch", names)
    places = [Place("", time.time())]

    def watch(lines: Iterable[str]) -> None:
        for line in lines:
            places.append(Place(line.strip(), time.time()))  # noqa: PERF401 - others read the list meanwhile

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        thread = threading.Thread(target=watch, args=(process.stdout,))
        thread.start()
        try:
            yield places
        finally:
            process.terminate()
            thread.join()


def _counts(what: str, found: Traffic) -> Iterator[Result]:
    reads = found.reads()
    stale = sum(each.kind == "stale" for each in reads)
    yield at_most(f"{what}: stale reads of a client's own write", stale, f"of {len(reads):,}", 0)
    failed = [each for each in reads if each.kind == "read" and each.status != 200]
    for each in failed[:20]:
        print(f"{what}: {datetime.fromtimestamp(each.began_at, UTC).time()} {each}", file=sys.stderr)
    yield at_most(f"{what}: failed reads", len(failed), f"of {len(reads):,}", 0)


def switch_over() -> None:
    """Ask the operator for another primary, as `kubectl cnpg promote` does."""
    target = standbys()[0]
    status = {
        "targetPrimary": target,
        "targetPrimaryTimestamp": datetime.now(UTC).isoformat(),
        "phase": "Switchover in progress",
        "phaseReason": f"Switching over to {target}",
    }
    patch = json.dumps({"status": status})
    kubectl("patch", "cluster", CLUSTER, "--subresource=status", "--type=merge", f"--patch={patch}")


def fail_over() -> None:
    """Delete the pod of the primary."""
    kubectl("delete", "pod", primary(), "--wait=false")


@contextmanager
def paused_in_replay(instance: str) -> Iterator[None]:
    """Let the standby receive and not replay in this block."""
    ask(instance, "SELECT pg_wal_replay_pause()")
    try:
        yield
    finally:
        ask(instance, "SELECT pg_wal_replay_resume()")


def healthy() -> None:
    """Wait until all instances are ready, and follow one primary."""

    def ready() -> bool:
        status = cluster_status()
        return status.get("readyInstances") == INSTANCES and status.get("phase") == "Cluster in healthy state"

    until(ready, "the Cluster is healthy", seconds=600)


def cluster_status() -> dict[str, Any]:
    """Return the status of the Cluster."""
    status: dict[str, Any] = json.loads(kubectl("get", "cluster", CLUSTER, "--output=json")).get("status", {})
    return status


def primary() -> str:
    """Return the name of the primary's pod, by the status of the Cluster."""
    name: str = cluster_status()["currentPrimary"]
    return name


def standbys() -> list[str]:
    """Return the names of the standbys' pods."""
    status = cluster_status()
    return sorted(set(status["instanceNames"]) - {status["currentPrimary"]})


def ask(instance: str, sql: str) -> str:
    """Return the answer of an instance to its superuser."""
    psql = ("psql", "--dbname=app", "-At", "--command", sql)
    return kubectl("exec", instance, "--container=postgres", "--", *psql)


def users(prefix: str) -> set[str]:
    """Return the names of the users that the primary has."""
    return set(ask(primary(), f"SELECT username FROM accounts_user WHERE username LIKE '{prefix}-%'").split())


def reads_by_alias() -> dict[str, int]:
    """Return the reads of the apps by alias, counted by all pods of the service."""
    script = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9464/metrics').read().decode())"
    selector = "--selector=app.kubernetes.io/component=service"
    counted: dict[str, int] = {}
    for pod in json.loads(kubectl("get", "pods", selector, "--output=json"))["items"]:
        if "deletionTimestamp" in pod["metadata"]:
            continue
        text = kubectl("exec", pod["metadata"]["name"], "--container=service", "--", "python", "-c", script)
        for (alias, operation), count in queries(text).items():
            if operation == "read":
                counted[alias] = counted.get(alias, 0) + count
    return counted


TRIALS: Mapping[str, Callable[[str], Iterator[Result]]] = {
    "own-writes": own_writes("own writes, one standby paused"),
    "pooler": own_writes("own writes behind the owner's pooler, one standby paused", "values-poolers.yaml"),
    "switchover": handover("switchover", switch_over),
    "failover": handover("failover", fail_over),
}

if __name__ == "__main__":
    sys.exit(main())
