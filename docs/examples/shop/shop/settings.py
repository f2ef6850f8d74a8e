"""Settings: the place where the shop runs decides which databases exist, by environment variables."""

import os
from pathlib import Path

from switchyard.environment import from_environment, secret, secrets

BASE_DIR = Path(__file__).resolve().parent.parent

DATABASES, SWITCHYARD = from_environment(owners={"catalog": "default", "visits": "visits"}, data_dir=BASE_DIR)
DATABASE_ROUTERS = ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"]
SWITCHYARD["THREADS"] = int(os.environ.get("WEB_THREADS", "4"))

# A migration Job has no key and needs none.
SECRET_KEY = secret(os.environ, "SECRET_KEY", default="")
SECRET_KEY_FALLBACKS = secrets(os.environ, "SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")

INSTALLED_APPS = ["switchyard", "catalog", "visits"]
MIDDLEWARE = ["switchyard.health.middleware.LivezMiddleware", "switchyard.routing.RoutingMiddleware"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
