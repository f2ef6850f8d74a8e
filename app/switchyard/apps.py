"""Bind the package's checks and connection hooks to Django. No queries here: start-up touches no database."""

from django.apps import AppConfig
from django.core import checks


class SwitchyardConfig(AppConfig):
    """Install what the package hooks into Django: system checks, guards and query counters."""

    name = "switchyard"
    verbose_name = "Switchyard"

    def ready(self) -> None:
        from switchyard.routing import cascades, connections, guard, stale_saves, transactions  # noqa: PLC0415 - needs the loaded apps
        from switchyard.routing.checks import check_routing  # noqa: PLC0415 - as above
        from switchyard.routing.checks_databases import check_servers  # noqa: PLC0415 - as above
        from switchyard.telemetry import decisions, queries, violations  # noqa: PLC0415 - as above

        checks.register(check_routing, "switchyard")
        checks.register(check_servers, checks.Tags.database)
        connections.install()
        guard.install()
        cascades.install()
        stale_saves.install()
        transactions.install()
        queries.install()
        violations.install()
        decisions.install()
