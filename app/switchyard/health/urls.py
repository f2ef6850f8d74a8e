"""The paths of health, for `include()`. LivezMiddleware answers /livez before Django resolves a URL."""

from django.urls import path

from switchyard.health.views import healthz, readyz, startupz

urlpatterns = [
    path("readyz", readyz, name="readyz"),
    path("startupz", startupz, name="startupz"),
    path("healthz", healthz, name="healthz"),
]
