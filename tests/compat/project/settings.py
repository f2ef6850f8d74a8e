"""A project that uses packages of others behind Switchyard's routers: one server with three databases, and a standby.

`docs/packages.md` says which of these settings a package needs.
"""

import os
from typing import Any

PASSWORD = os.environ["COMPAT_PASSWORD"]
PRIMARY_PORT, STANDBY_PORT = os.environ["COMPAT_PRIMARY_PORT"], os.environ["COMPAT_STANDBY_PORT"]


def _database(name: str, port: str, engine: str, **test: str) -> dict[str, Any]:
    return {
        "ENGINE": engine,
        "NAME": name,
        "USER": "postgres",
        "PASSWORD": PASSWORD,
        "HOST": "127.0.0.1",
        "PORT": port,
        "TEST": test,
    }


ENGINES = {
    "default": "django.db.backends.postgresql",
    "gis": "django.contrib.gis.db.backends.postgis",
    "counted": "django_prometheus.db.backends.postgresql",
}
NAMES = {"default": "switchyard", "gis": "gis", "counted": "counted"}
REPLICAS = {"default": "replica", "gis": "gis_replica", "counted": "counted_replica"}
DATABASES = {owner: _database(NAMES[owner], PRIMARY_PORT, engine) for owner, engine in ENGINES.items()}
DATABASES |= {
    REPLICAS[owner]: _database(NAMES[owner], STANDBY_PORT, engine, MIRROR=owner) for owner, engine in ENGINES.items()
}
DATABASE_ROUTERS = ["switchyard.routing.PrimaryReplicaRouter", "switchyard.routing.AppRouter"]
SWITCHYARD = {
    "OWNERS": {"places": "gis", "counted": "counted", "*": "default"},
    "REPLICAS": {owner: [replica] for owner, replica in REPLICAS.items()},
    "PRIMARY_ONLY": [
        "account",  # of allauth
        "authtoken",
        "django_celery_beat",
        "django_tasks_database",
        "guardian",
    ],
}

SECRET_KEY = "only-for-tests-of-packages-behind-the-routers-of-switchyard"
ALLOWED_HOSTS = ["testserver"]
DEBUG = False
USE_TZ = True
STATIC_URL = "static/"
ROOT_URLCONF = "project.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
INSTALLED_APPS = [
    "switchyard",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "auditlog",
    "debug_toolbar",
    "django_celery_beat",
    "django_filters",
    "django_prometheus",
    "django_tasks_db",
    "guardian",
    "import_export",
    "rest_framework",
    "rest_framework.authtoken",
    "reversion",
    "simple_history",
    "project.counted",
    "project.places",
    "project.shop",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "switchyard.routing.RoutingMiddleware",
    "debug_toolbar.middleware.DebugToolbarMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
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
AUTHENTICATION_BACKENDS = [
    "switchyard.routing.contrib.auth.PrimaryModelBackend",
    "guardian.backends.ObjectPermissionBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.DjangoModelPermissions"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
TASKS = {
    "default": {
        "BACKEND": "switchyard.routing.contrib.tasks.PositionBackend",
        "OPTIONS": {"BACKEND": "django_tasks_db.DatabaseBackend"},
    }
}
DEBUG_TOOLBAR_CONFIG = {"SHOW_TOOLBAR_CALLBACK": "project.urls.shows_toolbar", "IS_RUNNING_TESTS": False}
CELERY_BROKER_URL = "memory://"
