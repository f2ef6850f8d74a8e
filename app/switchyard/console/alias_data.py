"""What the console tells of one alias: its server, its pool and its load. No queries, no host, user or password."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from switchyard.console import load
from switchyard.console.aliases import AliasRow, alias_row, state_of
from switchyard.console.explanations import EXPLANATIONS
from switchyard.console.pods.adding import AllPods
from switchyard.console.problem_times import TimedProblem, timed
from switchyard.console.problems import Facts, problems
from switchyard.routing.monitor import monitor
from switchyard.routing.monitor.server_status import ServerReport, reports_of
from switchyard.routing.topology.ownership import database_aliases, replicas_of, replicated_by


def aliases_data(pods: AllPods, now: float) -> list[dict[str, Any]]:
    """Return the entry of each alias, in the order of DATABASES. `now` is the Unix time."""
    aliases = database_aliases()
    reports = {
        report.alias: report
        for owner in aliases
        if replicated_by(owner) is None and monitor.watches(owner)
        for report in reports_of(owner)
    }
    rows = {alias: alias_row(alias) for alias in aliases}
    found = _problems(rows, pods, now)
    return [_entry(row, pods, reports.get(alias), found[alias]) for alias, row in rows.items()]


def problems_now(pods: AllPods, now: float) -> Mapping[str, Sequence[TimedProblem]]:
    """Return the problems of each alias, and remember since when there is each of them. `now` is the Unix time."""
    return _problems({alias: alias_row(alias) for alias in database_aliases()}, pods, now)


def _problems(rows: Mapping[str, AliasRow], pods: AllPods, now: float) -> Mapping[str, Sequence[TimedProblem]]:
    return timed({alias: list(problems(_facts(alias, rows, pods))) for alias in rows}, pods.problems, now)


def _facts(alias: str, rows: Mapping[str, AliasRow], pods: AllPods) -> Facts:
    return Facts(
        alias=alias,
        state=rows[alias].state,
        recording=pods.recording,
        pool=pods.pools.get(alias),
        pending_migrations=None if replicated_by(alias) else monitor.pending_migrations(alias),
        violations=[each for each in pods.violations if each["alias"] == alias],
        states_elsewhere=_states_elsewhere(rows[alias], pods.reasons.get(alias, {})),
        has_unfit_replica=any(rows[replica].state != "fit" for replica in replicas_of(alias)),
    )


def _states_elsewhere(row: AliasRow, reasons: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Return the states of the alias' server in other pods, if they differ from the state here."""
    found: dict[str, list[str]] = defaultdict(list)
    for pod, reason in sorted(reasons.items()):
        if (state := state_of(row.name, reason)) != row.state:
            found[state].append(pod)
    return found


def _entry(row: AliasRow, pods: AllPods, report: ServerReport | None, found: Sequence[TimedProblem]) -> dict[str, Any]:
    alias, owner, recording = row.name, replicated_by(row.name), pods.recording
    is_well = row.level in {"good", "neutral"}
    return {
        "alias": alias,
        "vendor": row.vendor,
        "role": "replica" if owner else "primary",
        "replica_of": owner,
        "apps": list(row.apps),
        "state": row.state,
        "level": "warning" if found and is_well else row.level,
        "explanation": " ".join(problem.text for problem in found) or EXPLANATIONS[row.state],
        "problems": [asdict(problem) for problem in found],
        "lag_seconds": report.lag_seconds if report else None,
        "lag_bytes": report.lag_bytes if report else None,
        "age_seconds": report.age_seconds if report else None,
        "pending_migrations": None if owner else monitor.pending_migrations(alias),
        "connections": _connections(pods.pools.get(alias)),
        "latency_seconds": load.latency_seconds(recording, alias),
        "queries_per_second": load.queries_per_second(recording, alias),
        "errors_per_second": load.errors_per_second(recording, alias),
        "queries": load.query_totals(recording, alias),
    }


def _connections(pool: Mapping[str, int] | None) -> dict[str, int] | None:
    if pool is None:
        return None
    return {"used": pool["used"], "idle": pool["idle"], "max": pool["max"], "waiting": pool["pending_requests"]}
