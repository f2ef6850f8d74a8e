"""The URL paths of the service. api.py mounts the API of each installed app."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from config.api import api
from config.sign_in import sign_in

handler400 = "config.problems.bad_request"
handler404 = "config.problems.not_found"
handler500 = "config.problems.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="switchyard:console")),
    path("", include("switchyard.health.urls")),
    path("admin/login/", sign_in),  # in place of the admin's own, which has no limits
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("console/", include("switchyard.console.urls")),
]
