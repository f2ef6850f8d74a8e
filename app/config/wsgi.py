"""The service's WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from config import env

# Commands do without either; a service without them would be open to everyone, or forget every session.
env.secret(os.environ, "SECRET_KEY")
env.secret(os.environ, "API_TOKEN")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
