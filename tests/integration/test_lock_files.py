"""Lock files of killed servers: another process of the new container may have the process id in them.

A server then takes this process for itself, and refuses to start again and again. The directory of the sockets outlives
a container of a pod; in Docker each container begins with an empty one, so that the tests make the files.
"""

from collections.abc import Callable

import pytest
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import MYSQL, POSTGRESQL, Vendor

pytestmark = pytest.mark.docker

LOCKED = {
    POSTGRESQL: (
        "sleep infinity & "
        r"printf '%s\n/var/lib/postgresql\n1\n5432\n/var/run/postgresql\n' $! > /var/run/postgresql/.s.PGSQL.5432.lock"
    ),
    MYSQL: r"sleep infinity & printf '%s\n' $! > /var/run/mysqld/mysqld.sock.lock",
}

STARTS: dict[Vendor, tuple[Callable[[Servers], None], Callable[[Servers], None]]] = {
    POSTGRESQL: (
        lambda servers: servers.start_postgres("default"),
        lambda servers: servers.start_standby("replica", of="default"),
    ),
    MYSQL: (
        lambda servers: servers.start_mysql("default"),
        lambda servers: servers.start_mysql_clone("replica", of="default"),
    ),
}


@pytest.mark.parametrize("vendor", STARTS, ids=lambda vendor: vendor.scheme)
def test_start__lock_file_of_a_killed_server(vendor: Vendor) -> None:
    """An owner and its replica start."""
    with network_of_servers(vendor) as servers:
        servers.first = LOCKED[vendor]
        for alias, start in zip(("default", "replica"), STARTS[vendor], strict=True):
            start(servers)
            servers.answers(alias)
