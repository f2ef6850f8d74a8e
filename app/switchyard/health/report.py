"""The health of each alias in detail, for people and scripts: no host, no user and no text of an error."""

from collections.abc import Mapping
from typing import Any

from django.db import connections

from switchyard.health.readiness import Verdict
from switchyard.routing.monitor import monitor
from switchyard.routing.monitor.server_status import ServerReport, reports_of
from switchyard.routing.topology.ownership import replicated_by
from switchyard.telemetry.gauges.pool_gauges import pools


def alias_details(verdict: Verdict) -> dict[str, dict[str, Any]]:
    """Return the details of each alias of the verdict. No query: a value that this process does not know is None."""
    reports = {
        report.alias: report
        for owner in verdict.aliases
        if replicated_by(owner) is None
        for report in reports_of(owner)
        if monitor.watches(owner)
    }
    return {alias: {"state": state, **_details(alias, reports.get(alias))} for alias, state in verdict.aliases.items()}


def _details(alias: str, report: ServerReport | None) -> Mapping[str, Any]:
    owner = replicated_by(alias)
    return {
        "vendor": connections[alias].vendor,
        "replica_of": owner,
        "server": report.state if report else None,
        "answer_seconds": _rounded(report.answer_seconds if report else None),
        "answer_age_seconds": _rounded(report.age_seconds if report else None),
        "lag_seconds": _rounded(report.lag_seconds if report else None),
        "lag_bytes": report.lag_bytes if report else None,
        "pending_migrations": None if owner else monitor.pending_migrations(alias),
        "pool": pools().get(alias),
        "error": report.error or None if report else None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
