"""The path of the console, for `include()` at the place where a project wants the page."""

from django.urls import path

from switchyard.console.views import console

app_name = "switchyard"
urlpatterns = [path("", console, name="console")]
