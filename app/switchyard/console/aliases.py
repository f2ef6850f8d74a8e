"""Rows of the console's table of aliases: role, owned apps, and the state as a word and as a level."""

from dataclasses import dataclass

from django.db import Error, connections

from switchyard.conf import conf
from switchyard.routing.topology.ownership import replicated_by
from switchyard.routing.topology.replication import replication_set

# State -> level, which chooses the colour and the symbol. In all other states the server is not used: level "error".
LEVELS = {
    "fit": "good",
    "read-write": "good",
    "read-only": "neutral",
    "lagging": "warning",  # with these three the replica is expected back without help
    "conflict": "warning",
    "unverified": "warning",
}


@dataclass(frozen=True)
class AliasRow:
    """An alias as the page shows it: no host, no user and no database name."""

    name: str
    vendor: str
    role: str
    state: str
    apps: tuple[str, ...]

    @property
    def level(self) -> str:
        """The level of the state: good, neutral, warning or error."""
        return LEVELS.get(self.state, "error")


def alias_row(name: str) -> AliasRow:
    """Return the row of the alias, as this process knows its server now."""
    owner = replicated_by(name)
    return AliasRow(
        name=name,
        vendor=_vendor(name),
        role=f"replica of {owner}" if owner else "primary",
        state=state_of(name, _reason(name, owner)),
        apps=tuple(sorted(app for app, alias in conf.owners.items() if alias == name)),
    )


def _vendor(name: str) -> str:
    """Return the vendor for people. The first time Django asks a MySQL whether it is a MariaDB."""
    try:
        return str(connections[name].display_name)
    except Error:
        return "MySQL"  # no answer


def state_of(name: str, reason: str) -> str:
    """Return the state of the alias, from the reason why its server is not used; the reason is empty if it is used."""
    if replicated_by(name):
        return reason or "fit"
    if reason:
        return f"unavailable ({reason})"
    return "read-only" if name in conf.read_only else "read-write"


def _reason(name: str, owner: str | None) -> str:
    """Return why this process does not use the server; empty if it does."""
    if owner is None:
        return replication_set(name).snapshot.unavailable_reason
    return next(replica.unfit_reason for replica in replication_set(owner).snapshot.replicas if replica.alias == name)
