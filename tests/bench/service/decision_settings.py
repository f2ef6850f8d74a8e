"""The minimal settings of a decision: under valgrind a start takes thirty times as long."""

import os

from tests.bench.service.stacks import OURS, ROUTERS

STACK = os.environ["BENCH_STACK"]
REPLICAS = os.environ["BENCH_REPLICAS"].split(",")

SECRET_KEY = "for-benchmarks"
INSTALLED_APPS = ["tests.bench.service", *(["switchyard"] if STACK == OURS else [])]
DATABASES = {
    alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"file:{name}?mode=memory&cache=shared"}
    for alias, name in {"default": "a", "analytics": "b", "legacy": "c", **dict.fromkeys(REPLICAS, "a")}.items()
}
DATABASE_ROUTERS = ROUTERS[STACK]
REPLICA_DATABASES = REPLICAS
SWITCHYARD = {
    "OWNERS": {"bench": "default", "analytics": "analytics", "reporting": "analytics", "legacy": "legacy"},
    "REPLICAS": {"default": REPLICAS},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
