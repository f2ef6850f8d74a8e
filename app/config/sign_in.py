"""Sign-in with limits: the check of a password takes much CPU time, and any stranger may ask for one.

`RATE` is for each client address and each worker. One password is checked at a time in each worker, so that strangers
take one thread and not all of them, however many addresses they have.
"""

from math import ceil
from threading import Lock

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from ninja.throttling import AnonRateThrottle

from config.problems import refused

RATE = "20/m"

_checking = Lock()


def sign_in(request: HttpRequest) -> HttpResponse:
    """Show the admin's sign-in form, or check a password; answer 429 beyond the limits."""
    if request.method != "POST":
        return admin.site.login(request)
    if not _checking.acquire(blocking=False):
        return _too_many(request, seconds=1)
    try:
        throttle = AnonRateThrottle(RATE)
        if not throttle.allow_request(request):
            return _too_many(request, seconds=ceil(throttle.wait() or 1))
        return admin.site.login(request)
    finally:
        _checking.release()


def _too_many(request: HttpRequest, *, seconds: int) -> HttpResponse:
    response = refused(request, 429, f"Too many people sign in at once. Try again in {seconds} s.")
    response["Retry-After"] = str(seconds)
    return response
