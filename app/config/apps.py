"""The project as an app, for its management commands. It has no models."""

from django.apps import AppConfig


class ServiceConfig(AppConfig):
    name = "config"
