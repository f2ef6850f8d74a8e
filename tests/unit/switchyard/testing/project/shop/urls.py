"""Views: the number of items on the replica, a write, and the alias of a read."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from shop.models import Item


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Item.objects.using("replica").count()))


def add(request: HttpRequest) -> HttpResponse:
    Item.objects.create(name="added")
    return HttpResponse()


def where(request: HttpRequest) -> HttpResponse:
    """Return the alias from which the item was read."""
    return HttpResponse(Item.objects.get()._state.db)


urlpatterns = [path("count", count), path("add", add), path("where", where)]
