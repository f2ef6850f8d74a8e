"""The service's WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from config import credentials

credentials.require(os.environ)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
