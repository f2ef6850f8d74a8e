"""Replicas that lag on demand, in tests.

A real replica is told to lag (standby.py), so its rows are old. A mirror and an SQLite file are the database of their
owner: there only the routing lags (simulated_standby.py). A client that writes after `pause()` then reads the owner
until `catch_up()`; all other clients read the replica, whose rows are never old. No simulated lag exceeds
MAX_LAG_SECONDS.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import connections

from switchyard.routing.monitor import monitor
from switchyard.routing.session.context import activate, task_context
from switchyard.routing.topology.ownership import replicated_by
from switchyard.routing.topology.replication import SHARES_CONNECTION_OF, replication_set, supports_positions
from switchyard.testing.simulated_standby import SimulatedStandby, simulating
from switchyard.testing.standby import Standby


class ReplicaLag:
    """Lets replicas lag until the block of `replica_lag()` ends.

    Each method takes the alias of the replica. It raises ValueError if the alias is no replica. On a real replica it
    raises PermissionError with the missing privilege if the user of the alias lacks it, and TimeoutError if the server
    does not follow within a minute.

    A client that wrote reads the owner, until the replica has caught up:

        with replica_lag() as lag:
            lag.pause()
            Order.objects.create(number=1)
            Order.objects.get(number=1)  # reads the owner
            lag.catch_up()
            Order.objects.get(number=1)  # reads the replica
            lag.delay(60)
            Order.objects.create(number=2)
            Order.objects.get(number=2)  # reads the owner for the next 60 seconds
    """

    def __init__(self, cleanup: ExitStack) -> None:
        self._cleanup = cleanup
        self._standbys: dict[str, Standby | SimulatedStandby] = {}

    def pause(self, alias: str = "replica") -> None:
        """Let the replica replay nothing more."""
        self._standby(alias).pause()

    def delay(self, seconds: float, alias: str = "replica") -> None:
        """Let the replica replay each write `seconds` later.

        Raises ValueError for parts of a second on MySQL and MariaDB.
        """
        self._standby(alias).delay(seconds)

    def catch_up(self, alias: str = "replica") -> None:
        """Let the replica replay everything from now on. Return when the router knows that it has caught up."""
        self._standby(alias).catch_up()

    def _standby(self, alias: str) -> Standby | SimulatedStandby:
        if alias not in self._standbys:
            owner = replicated_by(alias)
            if owner is None:
                raise ValueError(f"'{alias}' is no replica, so it cannot lag. Name an alias of SWITCHYARD['REPLICAS'].")
            make = self._real if _is_real(alias, owner) else self._simulated
            self._standbys[alias] = make(alias, owner)
        return self._standbys[alias]

    def _real(self, alias: str, owner: str) -> Standby:
        if not monitor.running():
            monitor.start()
            self._cleanup.callback(monitor.stop)
        standby = Standby(alias, owner)
        self._cleanup.callback(standby.restore)
        return standby

    def _simulated(self, alias: str, owner: str) -> SimulatedStandby:
        group = replication_set(owner)
        if group.snapshot.lag_free:
            self._cleanup.enter_context(simulating(group))
        return SimulatedStandby(alias, group)


@contextmanager
def replica_lag() -> Iterator[ReplicaLag]:
    """Yield a `ReplicaLag`. After the block no replica lags, and the writes of the block require no position.

    The block has a routing context of its own. `ReplicaLag` lists the errors. A mirror and an SQLite file get no query;
    a real replica is told to lag over a connection of its own, whose queries are not counted.

    Assert where a client reads after its write:

        with replica_lag() as lag:
            lag.pause()
            Order.objects.create(number=1)
            with assert_queries(default=1):
                Order.objects.get(number=1)
            lag.catch_up()
            with assert_queries(replica=1):
                Order.objects.get(number=1)
    """
    with activate(task_context()), ExitStack() as cleanup:
        yield ReplicaLag(cleanup)


def _is_real(alias: str, owner: str) -> bool:
    return supports_positions(owner) and SHARES_CONNECTION_OF not in connections.settings[alias]
