"""One view: how many items a replica has, as seen from a live server."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from shop.models import Item


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Item.objects.using("replica").count()))


urlpatterns = [path("count", count)]
