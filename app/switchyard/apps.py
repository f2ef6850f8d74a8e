"""Bind the package's checks and connection hooks to Django. No queries here: start-up touches no database."""

from django.apps import AppConfig


class SwitchyardConfig(AppConfig):
    """Install what the package hooks into Django: system checks, guards and query counters."""

    name = "switchyard"
    verbose_name = "Switchyard"
