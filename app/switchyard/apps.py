"""Register the checks of the package with Django, and install its hooks. No queries: the start needs no database."""

from django.apps import AppConfig, apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from switchyard.conf import conf


class SwitchyardConfig(AppConfig):
    """The app `switchyard`. Name it first in INSTALLED_APPS, because it extends `migrate`."""

    name = "switchyard"
    verbose_name = "Switchyard"

    def ready(self) -> None:
        from switchyard.console import console_data  # noqa: PLC0415 - needs the loaded apps
        from switchyard.console.pods import tokens  # noqa: PLC0415 - as above
        from switchyard.crossdb.references.checks.declared import check_references  # noqa: PLC0415 - as above
        from switchyard.crossdb.references.checks.servers import check_parents  # noqa: PLC0415 - as above
        from switchyard.crossdb.references.contrib import fixtures  # noqa: PLC0415 - as above
        from switchyard.management import rules, unapplied  # noqa: PLC0415 - needs the loaded apps
        from switchyard.routing.checks.databases import check_servers  # noqa: PLC0415 - needs the loaded apps
        from switchyard.routing.checks.ownership import check_routing  # noqa: PLC0415 - as above
        from switchyard.routing.connections import annotations, calls, wrapper  # noqa: PLC0415 - as above
        from switchyard.routing.guards import access_mode, guard, refusals  # noqa: PLC0415 - as above
        from switchyard.routing.orm import (  # noqa: PLC0415 - as above
            cascades,
            locks,
            redirected_writes,
            related_managers,
            stale_saves,
        )
        from switchyard.telemetry.counting import (  # noqa: PLC0415 - as above
            call_counter,
            connection_counter,
            decisions,
            violations,
        )
        from switchyard.telemetry.gauges import pool_gauges  # noqa: PLC0415 - as above
        from switchyard.telemetry.recent import recorder  # noqa: PLC0415 - as above

        checks.register(check_routing, "switchyard")
        checks.register(check_references, "switchyard")
        checks.register(check_servers, checks.Tags.database)
        checks.register(check_parents, checks.Tags.database)
        wrapper.install()
        calls.install()
        annotations.install()
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
        tokens.install()
        console_data.install()
        violations.install()
        decisions.install()
        fixtures.install()
        rules.install()
        unapplied.install()
        if apps.is_installed("django.contrib.admin"):
            _extend_admin()
        if conf.traces:
            _trace()


def _extend_admin() -> None:
    from switchyard.crossdb.references.contrib import admin_lists, admin_options  # noqa: PLC0415 - needs the admin

    checks.register(admin_options.check_admin_options, checks.Tags.admin)
    admin_lists.install()


def _trace() -> None:
    """Make a span for each query. Raises ImproperlyConfigured without OpenTelemetry."""
    try:
        from switchyard.telemetry import traces  # noqa: PLC0415 - needs packages that are optional
    except ImportError as error:
        raise ImproperlyConfigured(
            "SWITCHYARD['TRACES'] is set, but OpenTelemetry is not installed. Install switchyard[otel]."
        ) from error
    traces.install()
