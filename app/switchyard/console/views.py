"""One page for people: the aliases, the volume on each, and where every model is read and written."""

from dataclasses import dataclass

from django.contrib.admin.views.decorators import staff_member_required
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from switchyard.conf import conf
from switchyard.console.volume import volumes
from switchyard.routing.selection.explain import route_table
from switchyard.routing.selection.rules import RULES
from switchyard.routing.topology.ownership import replicated_by
from switchyard.routing.topology.replication import replication_set


@dataclass(frozen=True)
class AliasRow:
    """An alias as the page shows it: no host, no user, no database name."""

    name: str
    vendor: str
    role: str
    state: str
    apps: tuple[str, ...]


def _alias(name: str) -> AliasRow:
    owner = replicated_by(name)
    return AliasRow(
        name=name,
        vendor=connections[name].display_name,
        role=f"replica of {owner}" if owner else "primary",
        state=_replica_state(name, owner) if owner else ("read-only" if name in conf.read_only else "read-write"),
        apps=tuple(sorted(app for app, alias in conf.owners.items() if alias == name)),
    )


def _replica_state(name: str, owner: str) -> str:
    return next(
        replica.unfit_reason or "fit" for replica in replication_set(owner).snapshot.replicas if replica.alias == name
    )


@never_cache
@require_safe
@staff_member_required
def console(request: HttpRequest) -> HttpResponse:
    """Show aliases, volume and routes to a signed-in member of staff.

    Queries: the session and the user, on their owner; everything shown comes from memory.
    """
    names = tuple(connections)
    return render(
        request,
        "switchyard/console.html",
        {
            "aliases": [_alias(name) for name in names],
            "volumes": volumes(names),
            "routes": route_table(),
            "rules": RULES,
            "paused": "paused" in request.GET,
        },
    )
