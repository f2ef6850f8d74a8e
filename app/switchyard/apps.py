"""Bind the package's checks and connection hooks to Django. No queries here: start-up touches no database."""

from django.apps import AppConfig
from django.core import checks


class SwitchyardConfig(AppConfig):
    """Install what the package hooks into Django: system checks, guards and query counters."""

    name = "switchyard"
    verbose_name = "Switchyard"

    def ready(self) -> None:
        from switchyard.routing.checks.databases import check_servers  # noqa: PLC0415 - as above
        from switchyard.routing.checks.ownership import check_routing  # noqa: PLC0415 - as above
        from switchyard.routing.connections import calls, guard, wrapper  # noqa: PLC0415 - needs the loaded apps
        from switchyard.routing.orm import cascades, stale_saves  # noqa: PLC0415 - needs the loaded apps
        from switchyard.telemetry import decisions, queries, violations  # noqa: PLC0415 - as above

        checks.register(check_routing, "switchyard")
        checks.register(check_servers, checks.Tags.database)
        wrapper.install()
        calls.install()
        guard.install()
        cascades.install()
        stale_saves.install()
        queries.install()
        violations.install()
        decisions.install()
