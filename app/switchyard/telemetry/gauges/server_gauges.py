"""Gauges of servers and pools, from the files that the processes of a pod write. No Django and no settings.

`switchyard.routing.monitor.shared_file` writes what is known of the servers, `pool_gauges.py` each process's pools.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

from switchyard.telemetry.gauges import process_files

_LABELS = ("alias",)
_PROCESS_TIMEOUT_SECONDS = 5.0  # a process that has not written for so long is gone


def server_gauges(directory: str | Path) -> Iterator[Metric]:
    """Yield the gauges of each alias that a process watches, or watched last."""
    servers = known_servers(directory)
    now = time.monotonic()
    age = GaugeMetricFamily("switchyard_server_answer_age_seconds", "Age of the last answer.", labels=_LABELS)
    owner = GaugeMetricFamily("switchyard_owner_writable", "1 if the owner may be written.", labels=_LABELS)
    fit = GaugeMetricFamily("switchyard_replica_fit", "1 if the replica may be read.", labels=_LABELS)
    lag = GaugeMetricFamily("switchyard_replica_lag_seconds", "Lag of the replica in seconds.", labels=_LABELS)
    lag_bytes = GaugeMetricFamily("switchyard_replica_lag_bytes", "Lag of the replica in bytes.", labels=_LABELS)
    pending = GaugeMetricFamily("switchyard_pending_migrations", "Migrations to apply.", labels=_LABELS)
    info = GaugeMetricFamily(
        "switchyard_alias_info", "The server of an alias.", labels=("alias", "vendor", "role", "server_version")
    )
    for alias, server in sorted(servers.items()):
        role = "replica" if server["replica_of"] else "owner"
        info.add_metric([alias, server["vendor"], role, server["server_version"]], 1)
        (fit if server["replica_of"] else owner).add_metric([alias], not server["reason"])
        if server["sampled_at"] is not None:
            age.add_metric([alias], max(now - server["sampled_at"], 0.0))
        if server["lag_seconds"] is not None:
            lag.add_metric([alias], server["lag_seconds"])
        if server["lag_bytes"] is not None:
            lag_bytes.add_metric([alias], server["lag_bytes"])
        if server["pending_migrations"] is not None:
            pending.add_metric([alias], server["pending_migrations"])
    yield from (metric for metric in (info, age, owner, fit, lag, lag_bytes, pending) if metric.samples)


def pool_gauges(directory: str | Path) -> Iterator[Metric]:
    """Yield the sums over the pools of all processes that write their file."""
    counted = GaugeMetricFamily("db_client_connection_count", "Connections of pools.", labels=("alias", "state"))
    most = GaugeMetricFamily("db_client_connection_max", "Connections that pools may have.", labels=_LABELS)
    waiting = GaugeMetricFamily("db_client_connection_pending_requests", "Threads that wait.", labels=_LABELS)
    for alias, gauges in sorted(pool_totals(directory).items()):
        counted.add_metric([alias, "idle"], gauges["idle"])
        counted.add_metric([alias, "used"], gauges["used"])
        most.add_metric([alias], gauges["max"])
        waiting.add_metric([alias], gauges["pending_requests"])
    yield from (metric for metric in (counted, most, waiting) if metric.samples)


def pool_totals(directory: str | Path) -> Mapping[str, Mapping[str, int]]:
    """Return the sum of each gauge over the pools of all processes that write their file, by alias."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for content in process_files.read(directory, "process", seconds=_PROCESS_TIMEOUT_SECONDS):
        for alias, gauges in content["pools"].items():
            totals[alias].update(gauges)
    return totals


def known_servers(directory: str | Path, *, seconds: float = inf) -> Mapping[str, Mapping[str, Any]]:
    """Return the verdicts of the last seconds by alias; of two files with one alias, the newer one holds."""
    contents = [json.loads(path.read_text()) for path in Path(directory).glob("monitor-*") if not path.suffix]
    since = time.monotonic() - seconds
    contents = sorted(
        (each for each in contents if each["written_at"] >= since), key=lambda content: content["written_at"]
    )
    return {alias: server for content in contents for alias, server in content["servers"].items()}
