"""gunicorn's settings: threads in a few worker processes, a clean end, nothing left behind.

Read by the master before it forks, so that a wrong value ends it with one line instead of every worker in turn.
"""

# ruff: noqa: N999 - gunicorn's name for the file; nobody imports it

import logging
import os
from pathlib import Path

from config import env, settings

workers = env.number(os.environ, "WEB_CONCURRENCY", 2, low=1, high=64)
threads = settings.WEB_THREADS
bind = f"0.0.0.0:{env.number(os.environ, 'PORT', 8000, low=1, high=65535)}"
worker_class = "gthread"

# Every worker loads the application itself: it starts a thread that watches the replicas, which no fork would keep.
preload_app = False

# A worker that has not beaten for this long is replaced; no statement runs as long. A heart-beat touches a file, which
# must lie in memory: on a disk that is slow for a moment the worker would look dead.
timeout = 60
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes a file that only it may open
graceful_timeout = 25  # less than Kubernetes' 30 seconds, so that the master still ends by itself
keepalive = 75  # longer than a proxy keeps its side idle, or it would write into a closed connection

accesslog = None
control_socket_disable = True
logconfig_dict = settings.LOGGING

# As wsgi.py, which a worker loads: the master would start one worker after the other.
env.secret(os.environ, "SECRET_KEY")
env.secret(os.environ, "API_TOKEN")


def on_starting(_server: object) -> None:
    """Say once which apps are left out."""
    for app, alias in settings.ABSENT_APPS.items():
        logging.getLogger("config").warning(
            "App %r is not installed: its owner %r has no DATABASE_%s_URL.", app, alias, alias.upper()
        )
