"""The settings of the service, with the routers and the middleware of the contender that BENCH_STACK names."""

import os

from tests.bench.service import stacks
from tests.bench.service.stacks import OURS, ROUTERS

from config.settings import *  # noqa: F403 - all settings of the service, with the changes below
from config.settings import BASE_DIR, DATABASES, INSTALLED_APPS, MIDDLEWARE, SWITCHYARD

STACK = os.environ.get("BENCH_STACK", "switchyard")
_IS_OURS = STACK == OURS

SECRET_KEY = "for-benchmarks"
API_TOKEN = "for-benchmarks"
ROOT_URLCONF = "tests.bench.service.urls"
WSGI_APPLICATION = "tests.bench.service.wsgi.application"
INSTALLED_APPS = [
    "tests.bench.service",
    *(app for app in INSTALLED_APPS if _IS_OURS or app not in {"switchyard", "health_check"}),
]
MIDDLEWARE = [
    *stacks.MIDDLEWARE.get(STACK, []),
    *(middleware for middleware in MIDDLEWARE if _IS_OURS or not middleware.startswith("switchyard.")),
]
DATABASE_ROUTERS = ROUTERS[STACK]
REPLICA_DATABASES = [
    alias for alias, owner in {"replica": "default", "replica2": "default"}.items() if alias in DATABASES
]
if not _IS_OURS:
    AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
SWITCHYARD = {
    **SWITCHYARD,
    "OWNERS": {**SWITCHYARD["OWNERS"], "bench": "default"},
    **({"MAX_LAG_SECONDS": float(os.environ["BENCH_MAX_LAG"])} if "BENCH_MAX_LAG" in os.environ else {}),
}
STATIC_ROOT = BASE_DIR / "switchyard" / "static"  # an existing directory
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "ERROR"},
}
