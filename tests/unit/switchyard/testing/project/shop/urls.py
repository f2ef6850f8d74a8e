"""Views: how many items a replica has, as seen from a live server; one that writes, and one that reads."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from shop.models import Item


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Item.objects.using("replica").count()))


def add(request: HttpRequest) -> HttpResponse:
    Item.objects.create(name="added")
    return HttpResponse()


def where(request: HttpRequest) -> HttpResponse:
    """Say where the item was read."""
    return HttpResponse(Item.objects.get()._state.db)


urlpatterns = [path("count", count), path("add", add), path("where", where)]
