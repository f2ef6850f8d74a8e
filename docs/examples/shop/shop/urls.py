"""The URL paths of the shop. LivezMiddleware answers /livez."""

from django.urls import include, path

from catalog import views

urlpatterns = [
    path("", include("switchyard.health.urls")),  # /readyz
    path("products", views.products),
    path("products/<int:key>", views.product),
]
