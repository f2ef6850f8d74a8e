"""Register the checks of the package with Django, and install its hooks. No queries: the start needs no database."""

from django.apps import AppConfig
from django.core import checks


class SwitchyardConfig(AppConfig):
    """The app `switchyard`. Name it first in INSTALLED_APPS, because it extends `migrate`."""

    name = "switchyard"
    verbose_name = "Switchyard"

    def ready(self) -> None:
        from switchyard.management import rules, unapplied  # noqa: PLC0415 - needs the loaded apps
        from switchyard.routing.checks.databases import check_servers  # noqa: PLC0415 - needs the loaded apps
        from switchyard.routing.checks.ownership import check_routing  # noqa: PLC0415 - as above
        from switchyard.routing.connections import calls, wrapper  # noqa: PLC0415 - as above
        from switchyard.routing.guards import access_mode, guard, refusals  # noqa: PLC0415 - as above
        from switchyard.routing.orm import (  # noqa: PLC0415 - as above
            cascades,
            locks,
            redirected_writes,
            related_managers,
            stale_saves,
        )
        from switchyard.telemetry import pool_gauges  # noqa: PLC0415 - as above
        from switchyard.telemetry.counting import (  # noqa: PLC0415 - as above
            call_counter,
            connection_counter,
            decisions,
            violations,
        )
        from switchyard.telemetry.recent import recorder  # noqa: PLC0415 - as above

        checks.register(check_routing, "switchyard")
        checks.register(check_servers, checks.Tags.database)
        wrapper.install()
        calls.install()
        guard.install()
        access_mode.install()
        refusals.install()
        cascades.install()
        locks.install()
        stale_saves.install()
        related_managers.install()
        redirected_writes.install()
        call_counter.install()
        connection_counter.install()
        pool_gauges.install()
        recorder.install()
        violations.install()
        decisions.install()
        rules.install()
        unapplied.install()
