"""The paths of the console, for `include()` at the place where a project wants the page."""

from django.urls import path

from switchyard.console.json_views import data, route
from switchyard.console.views import console

app_name = "switchyard"
urlpatterns = [
    path("", console, name="console"),
    path("data", data, name="data"),
    path("route", route, name="route"),
]
