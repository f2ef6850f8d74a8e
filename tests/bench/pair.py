"""A PostgreSQL primary with its standbys in Docker, the tables of the benchmarks, and a row that does not change."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.results import ROOT, exit_without_servers
from tests.bench.rounds import environment
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import POSTGRESQL

KNOWN = "known"  # the key of the row that does not change
VALUE = 2


@contextmanager
def primary_with(*standbys: str) -> Iterator[Servers]:
    """Yield the servers when all answer and have caught up."""
    with exit_without_servers(), network_of_servers(POSTGRESQL) as servers:
        servers.start_postgres("default")
        servers.answers("default")
        for alias in standbys:
            servers.start_standby(alias, of="default")
        make_tables(servers)
        servers.ask("default", f"INSERT INTO bench_row (key, value) VALUES ('{KNOWN}', {VALUE})")
        for alias in standbys:
            servers.answers(alias)
            servers.caught_up(alias)
        yield servers


def variables(servers: Servers, *standbys: str, query: str = "") -> dict[str, str]:
    """Return the variables of the primary and these standbys, each URL with this query."""
    urls = {f"DATABASE_{alias.upper()}_URL": servers.url(alias) + query for alias in ("default", *standbys)}
    return urls | {f"DATABASE_{alias.upper()}_REPLICA_OF": "default" for alias in standbys}


def direct(servers: Servers) -> dict[str, str]:
    """Return the variables with the addresses of the containers: Docker's proxy takes as long as a query."""
    variables = servers.environ()
    for alias, server in servers.by_alias.items():
        server.container.reload()
        address = server.container.attrs["NetworkSettings"]["Networks"][servers.network.name]["IPAddress"]
        name = f"DATABASE_{alias.upper()}_URL"
        variables[name] = variables[name].replace(f"127.0.0.1:{server.port}", f"{address}:{server.vendor.port}")
    return variables


def make_tables(servers: Servers, alias: str = "default") -> None:
    """Make all tables on the alias, as plain Django with one database does; the benchmarks' own have no migration."""
    url = servers.url(alias, "migrator")
    made = subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity=0"],
        # The app `analytics` is there only with its database; without routers all tables are made on `default`.
        env=environment("plain", **dict.fromkeys(("DATABASE_DEFAULT_URL", "DATABASE_ANALYTICS_URL"), url)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise SystemExit(f"migrate ended with {made.returncode}:\n{made.stderr[-2000:]}")
