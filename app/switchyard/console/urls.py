"""The console's one page; include it where your project wants it."""

from django.urls import path

from switchyard.console.views import console

app_name = "switchyard"
urlpatterns = [path("", console, name="console")]
