"""What the console tells of one alias: its server, its pool and its load. No queries, no host, user or password."""

from collections.abc import Mapping, Sequence
from typing import Any

from switchyard.conf import conf
from switchyard.console import load
from switchyard.console.aliases import AliasRow, alias_row
from switchyard.console.explanations import EXPLANATIONS
from switchyard.console.problems import call_problems, migration_problems, pool_problems, violation_problems
from switchyard.routing.monitor import monitor
from switchyard.routing.monitor.server_status import ServerReport, reports_of
from switchyard.routing.topology.ownership import database_aliases, replicated_by
from switchyard.telemetry.pool_gauges import pools
from switchyard.telemetry.recent.entries import Entry
from switchyard.telemetry.recent.history import Recording
from switchyard.telemetry.server_gauges import pool_totals


def aliases_data(recording: Recording, violations: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the entry of each alias, in the order of DATABASES. The violations are the newest ones, on all aliases."""
    aliases = database_aliases()
    reports = {
        report.alias: report
        for owner in aliases
        if replicated_by(owner) is None and monitor.watches(owner)
        for report in reports_of(owner)
    }
    connections = pools() if conf.metrics_dir is None else pool_totals(conf.metrics_dir)
    return [
        _entry(
            alias_row(alias),
            recording,
            reports.get(alias),
            connections.get(alias),
            [each for each in violations if each["alias"] == alias],
        )
        for alias in aliases
    ]


def _entry(
    row: AliasRow,
    recording: Recording,
    report: ServerReport | None,
    pool: Mapping[str, int] | None,
    violations: Sequence[Entry],
) -> dict[str, Any]:
    alias, owner = row.name, replicated_by(row.name)
    pending = None if owner else monitor.pending_migrations(alias)
    found = [
        *migration_problems(pending),
        *pool_problems(recording, alias, pool),
        *call_problems(recording, alias),
        *violation_problems(recording.newest.at, violations),
    ]
    is_well = row.level in {"good", "neutral"}
    return {
        "alias": alias,
        "vendor": row.vendor,
        "role": "replica" if owner else "primary",
        "replica_of": owner,
        "apps": list(row.apps),
        "state": row.state,
        "level": "warning" if found and is_well else row.level,
        "explanation": " ".join(found if found and is_well else (EXPLANATIONS[row.state], *found)),
        "lag_seconds": report.lag_seconds if report else None,
        "lag_bytes": report.lag_bytes if report else None,
        "age_seconds": report.age_seconds if report else None,
        "pending_migrations": pending,
        "connections": _connections(pool),
        "latency_seconds": load.latency_seconds(recording, alias),
        "queries_per_second": load.queries_per_second(recording, alias),
        "errors_per_second": load.errors_per_second(recording, alias),
        "queries": load.query_totals(recording, alias),
    }


def _connections(pool: Mapping[str, int] | None) -> dict[str, int] | None:
    if pool is None:
        return None
    return {"used": pool["used"], "idle": pool["idle"], "max": pool["max"], "waiting": pool["pending_requests"]}
