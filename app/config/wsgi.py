"""The service's WSGI application."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import resolve

from config import credentials
from switchyard.conf import conf
from switchyard.routing.monitor import monitor

# A server that hangs must not keep a worker from starting for longer: it serves the other databases.
FIRST_ANSWERS_SECONDS = 5.0

credentials.require(os.environ)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
if conf.traces:
    from config import traces

    traces.start()
application = get_wsgi_application()

# A worker takes requests when it has loaded its views and each server has answered. On a busy machine this takes a
# second or more. If the first request loaded the views, the monitor would meanwhile take every server for silent.
resolve("/readyz")
monitor.wait_for_answers(FIRST_ANSWERS_SECONDS)
