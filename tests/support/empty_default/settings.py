"""Settings. The environment variable DATABASES holds the aliases other than `default` as JSON, `main` with a replica.

Every app is owned by `main`, whose requests run in transactions.
"""

import json
import os

SECRET_KEY = "only-for-tests"
DATABASES = {"default": {}, **json.loads(os.environ["DATABASES"])}
DATABASE_ROUTERS = ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "switchyard",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "tests.support.empty_default.shop",
]
MIDDLEWARE = [
    "switchyard.routing.RoutingMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
AUTHENTICATION_BACKENDS = ["switchyard.routing.contrib.auth.PrimaryModelBackend"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached"}}
ROOT_URLCONF = "tests.support.empty_default.urls"
SWITCHYARD = {"OWNERS": {"*": "main"}, "REPLICAS": {"main": ["replica"]}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "static/"
TEST_RUNNER = "switchyard.testing.DiscoverRunner"
USE_TZ = True
