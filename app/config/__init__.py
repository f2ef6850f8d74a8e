"""The service's Django project: its settings, its apps, its API and its management commands."""
