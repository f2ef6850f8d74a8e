"""The path of readiness, for `include()`. LivezMiddleware answers /livez before Django resolves a URL."""

from django.urls import path

from switchyard.health.views import readyz

urlpatterns = [path("readyz", readyz, name="readyz")]
