"""The Django configuration of the app."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "analytics"
