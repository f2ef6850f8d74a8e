"""What goes wrong with a replica, on demand: each fault is in force when its block begins, and repaired when it ends.

Servers that are held back, stopped, killed or hung are methods of `Servers`. An address that leads elsewhere, refuses
or swallows what it is sent is switchboard.py's.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from math import ceil

from tests.support import replicas
from tests.support.containers import until
from tests.support.servers import Servers
from tests.support.vendors import MARIADB, MYSQL, POSTGRESQL, Switch

_READ_ONLY = {
    MYSQL: Switch(
        on=("SET GLOBAL super_read_only = ON",),
        is_on="SELECT @@global.super_read_only",
        off=("SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF"),
        is_off="SELECT NOT @@global.read_only",
    ),
    MARIADB: Switch(
        on=("SET GLOBAL read_only = ON",),
        is_on="SELECT @@global.read_only",
        off=("SET GLOBAL read_only = OFF",),
        is_off="SELECT NOT @@global.read_only",
    ),
}
_GIVES_WAY = Switch(
    on=(
        "ALTER SYSTEM SET max_standby_streaming_delay = 0",
        "ALTER SYSTEM SET hot_standby_feedback = off",
        "SELECT pg_reload_conf()",
    ),
    is_on="SELECT setting = '0' FROM pg_settings WHERE name = 'max_standby_streaming_delay'",
    off=(
        "ALTER SYSTEM RESET max_standby_streaming_delay",
        "ALTER SYSTEM RESET hot_standby_feedback",
        "SELECT pg_reload_conf()",
    ),
    is_off="SELECT setting <> '0' FROM pg_settings WHERE name = 'max_standby_streaming_delay'",
)


@contextmanager
def cut_off(servers: Servers, alias: str = "replica") -> Iterator[None]:
    """Let the replica not reach its owner in this block, though it answers its clients."""
    with servers.switched(alias, servers.by_alias[alias].vendor.cut_off, "cut off"):
        yield


@contextmanager
def delayed(servers: Servers, alias: str = "replica", *, seconds: float) -> Iterator[None]:
    """Let the replica replay each commit that much after its time in this block; MySQL and MariaDB in whole seconds."""
    vendor = servers.by_alias[alias].vendor
    if vendor is not POSTGRESQL and seconds != ceil(seconds):
        raise ValueError(f"A replica on {vendor.scheme} can be delayed by whole seconds, not by {seconds}.")
    statements, is_so = vendor.delay, vendor.delayed

    def delay(by: float) -> None:
        given = {"ms": round(by * 1000), "seconds": round(by)}
        servers.ask(alias, *(statement.format(**given) for statement in statements))
        until(lambda: servers.says(alias, is_so.format(**given)), f"'{alias}' replays {by} s late")

    try:
        delay(seconds)
        yield
    finally:
        delay(0)


@contextmanager
def promoted(servers: Servers, alias: str = "replica") -> Iterator[None]:
    """Let the replica be a server of its own that takes writes, in this block; afterwards it is made anew."""
    vendor = servers.by_alias[alias].vendor
    try:
        servers.ask(alias, *vendor.promote)
        until(lambda: servers.says(alias, vendor.promoted), f"'{alias}' is promoted")
        yield
    finally:
        rebuild(servers, alias)


@contextmanager
def rebuilt_from_another_system(servers: Servers, alias: str = "replica", *, of: str = "analytics") -> Iterator[None]:
    """Let a replica of another owner answer at the replica's address in this block."""
    try:
        _make_anew(servers, alias, of=of)
        yield
    finally:
        rebuild(servers, alias)
        _free_slot(servers, alias, of=of)


def rebuild(servers: Servers, alias: str = "replica") -> None:
    """Throw the replica's data away and clone it from its owner again; return when it has caught up."""
    _make_anew(servers, alias, of=servers.owner_of(alias))
    servers.caught_up(alias)


@contextmanager
def read_only(servers: Servers, alias: str) -> Iterator[None]:
    """Let an owner on MySQL or MariaDB refuse every write in this block."""
    with servers.switched(alias, _READ_ONLY[servers.by_alias[alias].vendor], "read-only"):
        yield


@contextmanager
def recovery_conflict(servers: Servers, alias: str = "replica") -> Iterator[Callable[[str], None]]:
    """Yield a function that makes the standby cancel every statement which reads a table, by replaying a lock on it."""

    def cancel_readers(table: str) -> None:
        with closing(servers.admin(servers.owner_of(alias))) as owner, owner.transaction():
            owner.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
        servers.caught_up(alias)

    with servers.switched(alias, _GIVES_WAY, "cancelling what stands in the way of its replay"):
        yield cancel_readers


def _make_anew(servers: Servers, alias: str, *, of: str) -> None:
    vendor = servers.by_alias[alias].vendor
    servers.by_alias[alias].container.kill()
    if vendor is POSTGRESQL:
        _free_slot(servers, alias, of=servers.owner_of(alias))
    replicas.START[vendor](servers, alias, of=of)
    servers.answers(alias)


def _free_slot(servers: Servers, alias: str, *, of: str) -> None:
    """Drop the standby's slot, once its server no longer holds it: the next clone makes its own."""
    slots = f"FROM pg_replication_slots WHERE slot_name = '{alias}'"
    until(lambda: not servers.ask(of, f"SELECT 1 {slots} AND active"), f"the slot of '{alias}' is free")
    servers.ask(of, f"SELECT pg_drop_replication_slot(slot_name) {slots}")
