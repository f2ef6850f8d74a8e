"""The paths of the benchmarks, and django-prometheus' `/metrics` where it is compared."""

from django.conf import settings
from django.urls import include, path
from tests.bench.service.urls import handler500, urlpatterns

__all__ = ["handler500", "urlpatterns"]

if settings.STACK == "prometheus":
    urlpatterns = [*urlpatterns, path("", include("django_prometheus.urls"))]
