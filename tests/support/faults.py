"""Faults of a server, as context managers: the fault is present in the whole block, and repaired at its end.

`Servers` itself holds back, stops, kills and pauses a server. An address that leads to another server, refuses
connections or does not answer is in `switchboard.py`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from math import ceil

from tests.support import replicas
from tests.support.engine import UnavailableError
from tests.support.servers import Servers
from tests.support.vendors import MARIADB, MYSQL, POSTGRESQL, Switch
from tests.support.waiting import until

_SILENT_PORT = 9999  # in the network of a container

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
_CANCELS_READERS = Switch(
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
def hanging(servers: Servers, alias: str) -> Iterator[None]:
    """Stop each process of the server with SIGSTOP in this block: the kernel accepts connections, nothing answers."""
    container = servers.by_alias[alias].container
    container.kill(signal="SIGSTOP")  # the first process, before it starts others
    # A signal from inside reaches all processes but the first one, whose signals come from outside.
    container.exec_run(["sh", "-c", "kill -STOP -1"])
    try:
        yield
    finally:
        container.kill(signal="SIGCONT")
        container.exec_run(["sh", "-c", "kill -CONT -1"])


@contextmanager
def black_holed(servers: Servers, alias: str) -> Iterator[None]:
    """Drop each packet to the server in this block. Clients must use the address of its container."""
    with _packets(servers, alias, "DROP"):
        yield


@contextmanager
def refusing(servers: Servers, alias: str) -> Iterator[None]:
    """Refuse each packet to the server in this block, as a closed port does. Clients as in `black_holed()`."""
    with _packets(servers, alias, "REJECT", "--reject-with", "tcp-reset"):
        yield


@contextmanager
def silent(servers: Servers, alias: str) -> Iterator[None]:
    """End each connection in this block, and accept new ones that nobody answers. Clients as in `black_holed()`."""
    listen = f"s = socket.create_server(('', {_SILENT_PORT}), backlog=4096)"
    code = f"import socket, sys; {listen}; print(flush=True); sys.stdin.read()"
    command = [*_in_network_of(servers, alias), sys.executable, "-c", code]
    redirect = ("REDIRECT", "--to-ports", str(_SILENT_PORT))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # its end: no input
        assert process.stdout
        process.stdout.readline()
        with (
            _packets(servers, alias, *redirect, chain=("-t", "nat", "PREROUTING")),
            _packets(servers, alias, "REJECT", "--reject-with", "tcp-reset"),  # of connections from before
        ):
            yield


@contextmanager
def _packets(
    servers: Servers, alias: str, *target: str, chain: tuple[str, ...] = ("-t", "filter", "INPUT")
) -> Iterator[None]:
    *table, chain_name = chain
    iptables = (*_in_network_of(servers, alias), "iptables", *table)
    rule = (chain_name, "-p", "tcp", "--dport", str(servers.by_alias[alias].vendor.port), "-j", *target)
    subprocess.run([*iptables, "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run([*iptables, "-D", *rule], check=True)


def _in_network_of(servers: Servers, alias: str) -> tuple[str, ...]:
    """Return the begin of a command that runs in the network of the server's container. Raises UnavailableError."""
    if os.geteuid() != 0 or not shutil.which("nsenter") or not shutil.which("iptables"):
        raise UnavailableError("only root can drop packets, with nsenter and iptables")
    container = servers.by_alias[alias].container
    container.reload()
    return ("nsenter", "-t", str(container.attrs["State"]["Pid"]), "-n")


@contextmanager
def cut_off(servers: Servers, alias: str = "replica") -> Iterator[None]:
    """Separate the replica from its owner in this block: it answers clients, and receives no new writes."""
    with servers.switched(alias, servers.by_alias[alias].vendor.cut_off, "cut off"):
        yield


@contextmanager
def delayed(servers: Servers, alias: str = "replica", *, seconds: float) -> Iterator[None]:
    """Let the replica replay each commit this long after its time. MySQL and MariaDB take whole seconds."""
    vendor = servers.by_alias[alias].vendor
    if vendor is not POSTGRESQL and seconds != ceil(seconds):
        raise ValueError(f"A replica on {vendor.scheme} can be delayed by whole seconds, not by {seconds}.")
    statements, is_delayed = vendor.delay, vendor.delayed

    def delay(delay_seconds: float) -> None:
        given = {"ms": round(delay_seconds * 1000), "seconds": round(delay_seconds)}
        servers.ask(alias, *(statement.format(**given) for statement in statements))
        until(lambda: servers.says(alias, is_delayed.format(**given)), f"'{alias}' replays {delay_seconds} s late")

    try:
        delay(seconds)
        yield
    finally:
        delay(0)


@contextmanager
def promoted(servers: Servers, alias: str = "replica") -> Iterator[None]:
    """Promote the replica for this block: it takes writes. After the block it is built again from its owner."""
    vendor = servers.by_alias[alias].vendor
    with rebuilt_later(servers, alias):
        servers.ask(alias, *vendor.promote)
        until(lambda: servers.says(alias, vendor.promoted), f"'{alias}' is promoted")
        yield


@contextmanager
def rebuilt_later(servers: Servers, *aliases: str) -> Iterator[None]:
    """Build these replicas again from their owner at the end of the block, which may promote or move them."""
    try:
        yield
    finally:
        for alias in aliases:
            rebuild(servers, alias)


@contextmanager
def rebuilt_from_another_system(servers: Servers, alias: str = "replica", *, of: str = "analytics") -> Iterator[None]:
    """Let a replica of the owner `of` answer at the address of the replica in this block."""
    try:
        _build_again(servers, alias, of=of)
        yield
    finally:
        rebuild(servers, alias)
        _free_slot(servers, alias, of=of)


def rebuild(servers: Servers, alias: str = "replica") -> None:
    """Remove the replica's data and clone the replica from its owner again; return when it has caught up."""
    _build_again(servers, alias, of=servers.owner_of(alias))
    servers.caught_up(alias)


@contextmanager
def read_only(servers: Servers, alias: str) -> Iterator[None]:
    """Make an owner on MySQL or MariaDB read-only in this block."""
    with servers.switched(alias, _READ_ONLY[servers.by_alias[alias].vendor], "read-only"):
        yield


@contextmanager
def recovery_conflict(servers: Servers, alias: str = "replica") -> Iterator[Callable[[str], None]]:
    """Yield a function that makes the standby cancel each statement that reads a table.

    The function locks the table on the owner, and the replay of the lock cancels the statements.
    """

    def cancel_readers(table: str) -> None:
        with closing(servers.admin(servers.owner_of(alias))) as owner, owner.transaction():
            owner.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
        servers.caught_up(alias)

    with servers.switched(alias, _CANCELS_READERS, "cancelling statements in the way of replay"):
        yield cancel_readers


def _build_again(servers: Servers, alias: str, *, of: str) -> None:
    vendor = servers.by_alias[alias].vendor
    servers.by_alias[alias].container.kill()
    if vendor is POSTGRESQL:
        _free_slot(servers, alias, of=servers.owner_of(alias))
    replicas.START[vendor](servers, alias, of=of)
    servers.answers(alias)


def _free_slot(servers: Servers, alias: str, *, of: str) -> None:
    """Drop the replication slot when its standby no longer uses it: the next clone creates the slot again."""
    slots = f"FROM pg_replication_slots WHERE slot_name = '{alias}'"
    until(lambda: not servers.ask(of, f"SELECT 1 {slots} AND active"), f"the slot of '{alias}' is free")
    servers.ask(of, f"SELECT pg_drop_replication_slot(slot_name) {slots}")
