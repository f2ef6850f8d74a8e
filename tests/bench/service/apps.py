"""The project as an app; its one table is made by the benchmarks, without a migration."""

from django.apps import AppConfig


class BenchConfig(AppConfig):
    name = "tests.bench.service"
    label = "bench"
