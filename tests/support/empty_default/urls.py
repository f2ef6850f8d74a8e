"""Views: where an item is read, a write that fails in its transaction, a report, and readiness."""

from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from tests.support.empty_default.shop.models import Item

from switchyard.routing import read_only


def where(request: HttpRequest) -> HttpResponse:
    """Answer the alias of a read, and whether a transaction is open on `main`."""
    return HttpResponse(f"{Item.objects.first()._state.db} {connections['main'].in_atomic_block}")


def add(request: HttpRequest, name: str) -> HttpResponse:
    """Write an item, and fail afterwards if it is named `bad`."""
    Item.objects.create(name=name)
    request.session["last"] = name
    if name == "bad":
        raise ValueError(name)
    return HttpResponse(name)


@read_only()
def report(request: HttpRequest) -> HttpResponse:
    """Answer the alias of a read inside `read_only()`."""
    return HttpResponse(Item.objects.first()._state.db)


urlpatterns = [
    path("where", where),
    path("add/<name>", add),
    path("report", report),
    path("console/", include("switchyard.console.urls")),
    path("", include("switchyard.health.urls")),
]
