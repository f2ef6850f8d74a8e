"""Where readiness is asked; /livez is answered by the middleware, before any URL is looked at."""

from django.urls import path

from switchyard.health.views import readyz

urlpatterns = [path("readyz", readyz, name="readyz")]
