"""The paths of the benchmarks' requests."""

from django.urls import path
from tests.bench.service import views

handler500 = "config.problems.server_error"

urlpatterns = [
    path("livez", views.alive),
    path("rows/<str:key>", views.read),
    path("wired/<str:key>", views.read_wired),
    path("visit/<str:key>/<int:value>", views.visit),
    path("write/<str:then>/<str:key>/<int:value>", views.write),
]
