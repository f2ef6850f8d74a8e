"""Settings of a small project with tests. The environment variable DATABASES holds its databases as JSON."""

import json
import os

SECRET_KEY = "only-for-tests"
DATABASES = json.loads(os.environ["DATABASES"])
DATABASE_ROUTERS = ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["switchyard", "shop"]
MIDDLEWARE = ["switchyard.routing.RoutingMiddleware"]
ROOT_URLCONF = "shop.urls"
SWITCHYARD = {"OWNERS": {"shop": "default"}, "REPLICAS": {"default": ["replica"]}}
STATIC_URL = "static/"
TEST_RUNNER = "switchyard.testing.DiscoverRunner"
USE_TZ = True
