"""The service's settings: assignments only. What is read from the environment is judged in env.py."""

import os
from pathlib import Path

from config.databases import topology

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DATA_DIR", BASE_DIR.parent / "var"))

_topology = topology(os.environ, data_dir=DATA_DIR)

SECRET_KEY = os.environ.get("SECRET_KEY", "not-yet-judged")
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "accounts",
    "analytics",
    "reporting",
    "legacy",
    "switchyard",
    "ninja",
    "health_check",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = _topology.databases
DATABASE_ROUTERS = ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"]
LEGACY_MANAGED = os.environ.get("LEGACY_MANAGED", "true") == "true"
LEGACY_WRITABLE = os.environ.get("LEGACY_WRITABLE", "false") == "true"
SWITCHYARD = {
    "OWNERS": _topology.owners,
    "REPLICAS": _topology.replicas,
    "READ_ONLY": [] if LEGACY_WRITABLE else ["legacy"],
    "OPTIONAL": _topology.optional,
    "METRICS_DIR": os.environ.get("METRICS_DIR"),
}

AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
