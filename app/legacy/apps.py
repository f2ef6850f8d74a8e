"""The Django configuration of the app."""

from django.apps import AppConfig


class LegacyConfig(AppConfig):
    name = "legacy"
