"""Everything that the console knows, for its page and for programs. No host, user, database name or password."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from switchyard.conf import conf
from switchyard.console import load
from switchyard.console.alias_data import aliases_data, problems_now
from switchyard.console.pods.adding import all_pods
from switchyard.console.pods.record import PodRecord
from switchyard.console.pods.round import Round, ask_peers
from switchyard.console.reference_data import across_data, references_data
from switchyard.routing.monitor import monitor
from switchyard.telemetry import counters
from switchyard.telemetry.gauges.pool_gauges import pools
from switchyard.telemetry.gauges.reference_gauges import has_writer
from switchyard.telemetry.gauges.server_gauges import pool_totals
from switchyard.telemetry.recent import recorder
from switchyard.telemetry.recent.across import counts_across
from switchyard.telemetry.recent.peer_access import pod_id
from switchyard.telemetry.recent.pod_record import references_of
from switchyard.telemetry.recent.ring import INTERVAL_SECONDS

THIS_POD = "this pod"


def console_data() -> dict[str, Any]:
    """Return what happened on each alias in the last fifteen minutes, in all pods and in all their processes.

    Makes no query: everything comes from memory, and from the other pods, which get half a second to answer.
    """
    monitor.ensure_running()
    recorder.ensure_running()
    now = time.time()
    with suppress(OSError):  # a full METRICS_DIR; the thread of the recorder logs it
        recorder.recent().flush()
    known = ask_peers(_pod())
    own = own_record(now, known.own_label or THIS_POD)
    found = all_pods([own, *known.records])
    return {
        "at": now,
        "interval_seconds": INTERVAL_SECONDS,
        "times": found.recording.times,
        "pods": _pods(own, known),
        "pods_found": not known.unresolved,
        "aliases": aliases_data(found, now),
        "decisions": load.decisions(found.recording),
        "statements": found.statements,
        "violations": found.violations,
        "references": references_data(found),
        "across": across_data(found),
    }


def own_record(now: float, label: str) -> PodRecord:
    """Return what the processes of this pod know."""
    recent, opened = recorder.recent(), counters.current()
    return PodRecord(
        pod=_pod(),
        label=label,
        recording=recent.history.recording(now),
        statements=recent.statements.newest(now),
        violations=recent.violations.newest(now),
        pools=pools() if conf.metrics_dir is None else pool_totals(conf.metrics_dir),
        reasons={},  # this process's own verdicts are newer
        problems={},
        references={} if conf.metrics_dir is None else references_of(conf.metrics_dir),
        runs_worker=conf.metrics_dir is not None and has_writer(conf.metrics_dir),
        across=counts_across(opened.layout, opened.open().totals()),
    )


def note_problems(**_signal: Any) -> None:
    """Remember since when there are problems in this pod, while nobody looks at the console."""
    now = time.time()
    problems_now(all_pods([own_record(now, THIS_POD)]), now)


def install() -> None:
    """Look for problems with each sample of the counters. A second call changes nothing."""
    recorder.sampled.connect(note_problems, dispatch_uid="switchyard.console.console_data")


def _pods(own: PodRecord, known: Round) -> list[dict[str, Any]]:
    """Return the entry of each pod. `worker` tells a pod of the worker of references from the pods of the service.

    Where this pod serves and runs a worker, others that run one serve as well.
    """
    workers = frozenset() if own.runs_worker else known.workers
    return [
        {"pod": own.label, "answers": True, "worker": False},
        *({"pod": each.label, "answers": True, "worker": each.label in workers} for each in known.records),
        *({"pod": label, "answers": False, "worker": label in workers} for label in known.missing),
    ]


def _pod() -> str:
    """Return the random name of this pod; empty without CONSOLE_PEERS."""
    return pod_id(Path(conf.metrics_dir)) if conf.console_peers and conf.metrics_dir else ""
