"""The app's place in Django."""

from django.apps import AppConfig


class LegacyConfig(AppConfig):
    name = "legacy"
