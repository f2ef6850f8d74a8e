"""Run the service on this machine with one command: databases, sample data, web workers, worker and metrics."""

import errno
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, call_command
from django.core.management.utils import get_random_secret_key
from django.db import connections
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from config.processes import ProcessError, Processes
from switchyard.environment import ConfigurationError, env
from switchyard.migrations import migrating, pending

ADMIN = {"username": "admin", "password": "dev"}
TOKEN = "local-development-token-not-secret"  # noqa: S105 - the service listens on this machine only
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the command makes a directory of its own in it


class Command(BaseCommand):
    help = "Run the service on this machine, on embedded databases unless DATABASE_* variables name others."
    requires_system_checks = ("switchyard",)  # `migrate` runs the others where it has work

    def handle(self, *args: Any, **options: Any) -> None:
        port = env.number(os.environ, "PORT", 8000, low=1, high=65535)
        metrics_port = env.number(os.environ, "METRICS_PORT", 9464, low=1, high=65535)
        _refuse_used("PORT", port)
        _refuse_used("METRICS_PORT", metrics_port)
        console = Console()
        memory = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        try:
            with (
                Processes(settings.BASE_DIR) as processes,
                tempfile.TemporaryDirectory(prefix="switchyard-", dir=memory) as counters,
            ):
                _make_data_dir()
                if any(pending(alias) for alias in migrating()):
                    call_command("migrate_all")
                if _embedded() and not get_user_model().objects.filter(username=ADMIN["username"]).exists():
                    _make_sample_data(console)
                connections.close_all()
                environ = _environment(counters)
                processes.start("web", _web(port), environ=environ)  # first: it takes the longest
                processes.start("metrics", _exporter(environ["METRICS_DIR"], metrics_port), environ=environ)
                processes.wait_until_answers("web", port, "/livez")
                processes.start("worker", _worker(), environ=environ)
                processes.wait_until_answers("metrics", metrics_port, "/metrics")
                _print_addresses(console, port, metrics_port)
                processes.wait_until_one_ends()
        except ProcessError as error:
            raise CommandError(f"{error} The rest was stopped too.") from error
        except KeyboardInterrupt:
            console.print("Stopped. The data stays for the next run.")


def _refuse_used(variable: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            problem = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
            raise ConfigurationError(
                variable, problem, f"Stop what listens there, or set {variable} to another port", value=str(port)
            ) from None


def _make_data_dir() -> None:
    """Make the data directory, the secret key in it, and the directory of static files (WhiteNoise warns without)."""
    key = settings.DATA_DIR / "secret_key"
    try:
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(get_random_secret_key())
    except OSError as error:
        raise ConfigurationError(
            "DATA_DIR",
            f"cannot be written ({error.strerror})",
            "Name a directory that you may write to",
            value=str(settings.DATA_DIR),
        ) from None


def _embedded() -> bool:
    """Tell whether all databases are SQLite files. Other databases get neither sample data nor the known password."""
    return all(database["ENGINE"].endswith(".sqlite3") for database in settings.DATABASES.values())


def _make_sample_data(console: Console) -> None:
    """Make sample data and then the admin user. The next start looks for that user to see that both exist."""
    console.print("First run: making sample data.")
    call_command("seed")
    get_user_model().objects.create_superuser(**ADMIN)


def _environment(counters: str) -> Mapping[str, str]:
    """Return the environment of the processes: the user's, with defaults for a service on this machine only."""
    defaults = {"METRICS_DIR": counters, "SERVED_OVER_HTTPS": "false", "DRAIN_SECONDS": "0"}
    given = {**defaults, **os.environ, "LOG_STREAM": "stdout"}
    if not env.secret(os.environ, "API_TOKEN", default=""):
        given["API_TOKEN"] = TOKEN
    if not env.secret(os.environ, "SECRET_KEY", default=""):
        given["SECRET_KEY_FILE"] = str(settings.DATA_DIR / "secret_key")
    return given


def _web(port: int) -> list[str]:
    """Return gunicorn's command.

    On SQLite files the master loads the application once for all workers, which makes the start a third faster. That is
    safe there: no replica is watched, so there is no thread that the workers would lose at the fork.
    """
    return [
        *(sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py"),
        *("--bind", f"127.0.0.1:{port}", "--graceful-timeout", "5", "--log-level", "warning"),
        *(("--preload",) if _embedded() else ()),
        "config.wsgi",
    ]


def _worker() -> list[str]:
    return [sys.executable, "manage.py", "crossdb_worker", "--verbosity", "0"]


def _exporter(counters: str, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "switchyard.telemetry.exporter"),
        *("--dir", counters, "--address", "127.0.0.1", "--port", str(port)),
    ]


def _print_addresses(console: Console, port: int, metrics_port: int) -> None:
    """Print the addresses, and two commands to try."""
    service, metrics = f"http://localhost:{port}", f"http://localhost:{metrics_port}/metrics"
    token = "$API_TOKEN" if env.secret(os.environ, "API_TOKEN", default="") else TOKEN
    addresses = Table.grid(padding=(0, 3))
    addresses.add_row("Console", f"{service}/console/", "sign in as the admin")
    addresses.add_row("API", f"{service}/api/docs", "with the token")
    addresses.add_row("Admin", f"{service}/admin/", "[bold]admin[/], password [bold]dev[/]" if _embedded() else "")
    addresses.add_row("Metrics", metrics)
    addresses.add_row("Token", f"[bold]{token}[/]")
    console.print(Panel.fit(addresses, title="Switchyard is running", border_style="green"))
    console.print("Try:")
    console.print(f"  curl -H 'Authorization: Bearer {token}' '{service}/api/users?limit=3'", soft_wrap=True)
    console.print(f"  curl -s {metrics} | grep switchyard_queries_total", soft_wrap=True)
    console.print("Ctrl-C stops it.")
