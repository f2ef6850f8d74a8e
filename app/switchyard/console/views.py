"""The console, one page for people: the aliases, the query volume on each, and the routes of every model."""

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from switchyard.console.aliases import alias_row
from switchyard.console.volume import volumes
from switchyard.routing.selection.explain import route_table
from switchyard.routing.selection.rules import RULES
from switchyard.routing.topology.ownership import database_aliases


@never_cache
@require_safe
@staff_member_required
def console(request: HttpRequest) -> HttpResponse:
    """Show aliases, volume and routes to a signed-in member of staff.

    Queries: the session and the user, on their owner. Everything on the page comes from memory.
    """
    aliases = database_aliases()
    return render(
        request,
        "switchyard/console.html",
        {
            "aliases": [alias_row(alias) for alias in aliases],
            "volumes": volumes(aliases),
            "routes": route_table(),
            "rules": RULES,
            "paused": "paused" in request.GET,
        },
    )
