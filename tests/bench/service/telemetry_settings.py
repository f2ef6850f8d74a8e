"""The settings of the benchmarks, with metrics and one line of the log for each request.

BENCH_STACK is `switchyard`; `plain`, which is Django and a middleware that logs the same line; or `prometheus`, which
is `plain` with django-prometheus. The lines are formatted as in production, and nothing keeps them.
"""

import os

from tests.bench.service.settings import *  # noqa: F403 - all settings of the benchmarks, with the changes below
from tests.bench.service.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE, STACK

from config.logs import logging_config

ROOT_URLCONF = "tests.bench.service.telemetry_urls"
if STACK != "switchyard":
    MIDDLEWARE = ["tests.bench.service.plain_log.plain_log", *MIDDLEWARE]
if STACK == "prometheus":
    INSTALLED_APPS = [*INSTALLED_APPS, "django_prometheus"]
    MIDDLEWARE = [
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        *MIDDLEWARE,
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ]
    for _entry in DATABASES.values():
        _entry["ENGINE"] = _entry["ENGINE"].replace("django.db.", "django_prometheus.db.")
LOGGING = logging_config("stderr")
LOGGING["handlers"]["stream"] = {
    "class": "logging.FileHandler",
    "formatter": "structured",
    "filename": os.devnull,
}
