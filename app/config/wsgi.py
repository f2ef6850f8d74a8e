"""The service's WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from config import env

# Commands need neither. A service without them would be open to everyone, or lose its sessions at each start.
env.secret(os.environ, "SECRET_KEY")
env.secret(os.environ, "API_TOKEN")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
