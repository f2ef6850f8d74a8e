"""The pages that the tests request."""

import reversion
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from rest_framework import routers, serializers, viewsets

from project.shop.models import Essay, Invoice, Item, Page


class ItemSerializer(serializers.ModelSerializer):
    class Meta:
        model = Item
        fields = ["id", "name"]


class ItemViewSet(viewsets.ModelViewSet):
    queryset = Item.objects.order_by("id")
    serializer_class = ItemSerializer
    filterset_fields = ["name"]

    def perform_create(self, serializer: serializers.BaseSerializer) -> None:
        serializer.save(author=self.request.user)


def names(request: HttpRequest) -> HttpResponse:
    """Show all items, in a page that can hold a toolbar."""
    return HttpResponse(f"<html><body>{', '.join(Item.objects.values_list('name', flat=True))}</body></html>")


def change(request: HttpRequest, kind: str, key: int) -> JsonResponse:
    """Load an object, change its text and save it, as a view of a project does."""
    model, field = {"essay": (Essay, "text"), "page": (Page, "text"), "invoice": (Invoice, "number")}[kind]
    instance = model._default_manager.get(pk=key)
    setattr(instance, field, request.POST["text"])
    with reversion.create_revision():
        instance.save()
        reversion.set_user(request.user)
    return JsonResponse({"text": getattr(instance, field)})


def shows_toolbar(request: HttpRequest) -> bool:
    """Show the toolbar on the page of names only, and let the page load the toolbar's panels."""
    return request.path.startswith(("/names", "/__debug__/"))


router = routers.DefaultRouter()
router.register("items", ItemViewSet)
urlpatterns = [
    path("api/", include(router.urls)),
    path("names", names),
    path("change/<str:kind>/<int:key>", change),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("__debug__/", include("debug_toolbar.urls")),
]
