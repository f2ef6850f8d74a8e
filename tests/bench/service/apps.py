"""The project as an app. The benchmarks create its table, without a migration."""

from django.apps import AppConfig


class BenchConfig(AppConfig):
    name = "tests.bench.service"
    label = "bench"
