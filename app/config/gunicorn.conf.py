"""gunicorn's settings: a few worker processes of several threads each, and a clean stop.

The master reads this file before it forks. A wrong value therefore ends the master with one line, instead of each
worker in turn.
"""

# ruff: noqa: N999 - gunicorn gives the file its name; no module imports it

import logging
import os
from pathlib import Path

from config import credentials, settings
from switchyard.environment import env

workers = env.number(os.environ, "WEB_CONCURRENCY", 2, low=1, high=64)
threads = settings.WEB_THREADS
bind = f"0.0.0.0:{env.number(os.environ, 'PORT', 8000, low=1, high=65535)}"
worker_class = "config.buffering.worker.BufferingWorker"

# Each worker loads the application itself: the application starts a thread that watches the replicas, and a fork does
# not copy threads.
preload_app = False

# The master replaces a worker that sends no heartbeat for this long; no statement runs as long. A heartbeat touches a
# file, which must be in memory: on a disk that is slow for a moment the worker would look dead.
timeout = 60
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes a file that only gunicorn may open
graceful_timeout = 25  # less than Kubernetes' 30 seconds, so that the master ends before it is killed
keepalive = 75  # longer than a proxy keeps a connection idle, so that the proxy never writes into a closed one

# Only Django interprets what a proxy adds (SECURE_PROXY_SSL_HEADER). By default gunicorn takes SCRIPT_NAME, PATH_INFO
# and the scheme from the headers of every client on this machine, such as `kubectl port-forward`.
forwarded_allow_ips = ""
forwarder_headers = ""

accesslog = None
control_socket_disable = True
logconfig_dict = settings.LOGGING

# wsgi.py checks the same in each worker. Without this check the master would replace failing workers for ever.
credentials.require(os.environ)


def on_starting(_server: object) -> None:
    """Log once which apps and replicas are absent, and which variable brings each one back."""
    for notice in settings.ABSENCE_NOTICES:
        logging.getLogger("config").warning(notice)
