"""The WSGI application that gunicorn's workers load."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.service.settings")
application = get_wsgi_application()
