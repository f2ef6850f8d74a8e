"""The service's settings: assignments only. switchyard.environment validates the values that come from the environment.

docs/settings.md lists the variables.
"""

import os
from pathlib import Path

from django import VERSION

from config.databases import topology
from config.logs import logging_config
from config.service_apps import SERVICE_APPS
from switchyard.environment import env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text(os.environ, "DATA_DIR", str(BASE_DIR.parent / "var"))).absolute()

_topology = topology(os.environ, data_dir=DATA_DIR)

# A command runs without key and token; wsgi.py refuses to serve without them. Earlier ones are accepted beside them.
SECRET_KEY = env.secret(os.environ, "SECRET_KEY", default="")
SECRET_KEY_FALLBACKS = env.secrets(os.environ, "SECRET_KEY_FALLBACKS")
API_TOKEN = env.secret(os.environ, "API_TOKEN", default="")
API_TOKEN_FALLBACKS = env.secrets(os.environ, "API_TOKEN_FALLBACKS")

DEBUG = False
ALLOWED_HOSTS = env.names(os.environ, "ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.names(os.environ, "CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "config",
    *(app.label for app in SERVICE_APPS if app.label not in _topology.absent),
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
ABSENCE_NOTICES = _topology.notices  # gunicorn.conf.py logs them
MIDDLEWARE = [
    "switchyard.health.middleware.LivezMiddleware",
    "switchyard.telemetry.request_log.RequestLogMiddleware",
    "switchyard.routing.RoutingMiddleware",
    "config.caching.api_cache_control",
    "django.middleware.security.SecurityMiddleware",
    *(["django.middleware.csp.ContentSecurityPolicyMiddleware"] if VERSION >= (6, 0) else []),
    "config.bodies.BodyLimitMiddleware",
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
LEGACY_WRITABLE = env.flag(os.environ, "LEGACY_WRITABLE", default=False)
# After SIGTERM /readyz fails, and a worker serves on for so long: a balancer that asks /readyz needs time to notice.
DRAIN_SECONDS = env.number(os.environ, "DRAIN_SECONDS", 3, low=0, high=20)
WEB_THREADS = env.number(os.environ, "WEB_THREADS", 8, low=1, high=256)
SWITCHYARD = {
    **_topology.switchyard,
    "READ_ONLY": [] if LEGACY_WRITABLE or "legacy" not in DATABASES else ["legacy"],
    "THREADS": WEB_THREADS,
    "SERVER_TIMING": env.flag(os.environ, "SERVER_TIMING", default=False),
    "SQL_COMMENTS": env.flag(os.environ, "SQL_COMMENTS", default=False),
    "TRACES": env.flag(os.environ, "TRACES", default=False),  # wsgi.py sends them
    "HEALTH_TOKENS": [API_TOKEN, *API_TOKEN_FALLBACKS],
    "CONSOLE_TOKENS": [API_TOKEN, *API_TOKEN_FALLBACKS],
}

# The largest list that the API takes, 1,000 events, fits in. A parsed body takes up to 30 times its size in memory.
DATA_UPLOAD_MAX_MEMORY_SIZE = 512 * 1024
FILE_UPLOAD_HANDLERS = ["config.bodies.RefuseFiles"]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["switchyard.routing.contrib.auth.PrimaryModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
NINJA_NUM_PROXIES = env.number(os.environ, "PROXIES", 0, low=0, high=9)  # ninja's throttle of sign_in.py reads it

# A proxy ends TLS and overwrites X-Forwarded-Proto. Without a proxy (on a laptop) the browser speaks plain HTTP, and
# never sends a Secure cookie back.
SERVED_OVER_HTTPS = env.flag(os.environ, "SERVED_OVER_HTTPS", default=True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SERVED_OVER_HTTPS else None
SECURE_HSTS_SECONDS = 3600 if SERVED_OVER_HTTPS else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SERVED_OVER_HTTPS
SECURE_CSP = {
    "default-src": ["'self'"],
    "img-src": ["'self'", "data:"],  # the icons of /api/docs
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains: this service cannot promise it for other names of the domain
    "security.W008",  # the proxy redirects to HTTPS; probes and clients inside the cluster speak plain HTTP
    "security.W021",  # HSTS preload: the owner of the domain decides that
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
# An image collects the static files when it is built; elsewhere WhiteNoise serves them from their apps.
WHITENOISE_USE_FINDERS = not (STATIC_ROOT / "admin").is_dir()

LOGGING = logging_config(env.choice(os.environ, "LOG_STREAM", ("stdout", "stderr")) or "stdout")
