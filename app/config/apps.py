"""The project as a Django app, which holds the management commands. It has no models."""

from django.apps import AppConfig


class ServiceConfig(AppConfig):
    name = "config"
